"""Maildirs as Dovecot and Courier leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from postmaster.cli.failure import Failure
from postmaster.cli.maildirs import DOVECOT_UIDL, mailboxes, subscriptions, unique_id
from postmaster.cli.old_mailboxes import OldMailbox, identifier_here


def maildir(folder: Path, **files: str) -> Path:
    """Make a Maildir with lists of a server; names begin with ``cur/`` or are lists."""
    for place in ("cur", "new", "tmp"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


OWNER = "anna@example.test"


def told(box: OldMailbox) -> list[tuple[int, bytes, tuple[str, ...], str]]:
    return [(one.uid, one.octets(), one.flags, one.uidl) for one in box.messages]


def test_dovecot_keeps_uids_keywords_and_unique_ids(tmp_path: Path) -> None:
    files = {
        "cur/10.a:2,FSab": "A",
        "cur/11.b:2,": "B",
        "new/12.c": "C",
        "dovecot-uidlist": (
            "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"
            "25006 G10 W2 :10.a:2,S\n25008 Pold-id W2 :11.b:2,\n25009 :9.gone:2,\n"
        ),
        "dovecot-keywords": "0 $Label1\n1 NonJunk\n",
    }

    [box] = mailboxes(maildir(tmp_path, **files), OWNER, DOVECOT_UIDL)

    assert (box.name, box.uidvalidity, box.uidnext) == ("INBOX", 1275660208, 25023)
    assert [one.is_listed for one in box.messages] == [True, True, False]
    assert told(box) == [
        (25006, b"A", ("\\Flagged", "\\Seen", "$Label1", "NonJunk"), "000061ae4c0907b0"),
        (25008, b"B", (), "old-id"),
        (25022, b"C", (), ""),
    ]


def test_the_first_form_of_dovecots_list(tmp_path: Path) -> None:
    files = {"cur/10.a:2,S": "A", "dovecot-uidlist": "1 1275660208 7\n6 10.a:2,\n"}

    [box] = mailboxes(maildir(tmp_path, **files), OWNER, "%v.%u")

    assert told(box) == [(6, b"A", ("\\Seen",), "1275660208.6")]


def test_courier_keeps_uids_keywords_and_unique_ids(tmp_path: Path) -> None:
    files = {
        "cur/10.a:2,RS": "A",
        "cur/11.b'c:2,": "B",
        "cur/12.d:2,": "C",
        "courierimapuiddb": "1 1134567890 9\n4 10.a\n5 11.b'c\n8 12.d\n",
        "courierpop3dsizelist": (
            "/3 7 1134000000\n10.a:2,S 3 3:1134000000:0\n11.b'c 3 0:0:0\n12.d 3 6:0:0\n"
        ),
        "courierimapkeywords/:list": "work\n$Forwarded\n\n10.a:0 1\n",
    }

    [box] = mailboxes(maildir(tmp_path, **files), OWNER)

    assert (box.uidvalidity, box.uidnext) == (1134567890, 9)
    assert told(box) == [
        (4, b"A", ("\\Answered", "\\Seen", "work", "$Forwarded"), "UID3-1134000000"),
        (5, b"B", (), "11.b+27c"),
        (8, b"C", (), "UID6"),
    ]


def test_folders_have_the_names_that_imap_shows(tmp_path: Path) -> None:
    maildir(tmp_path)
    for name in (".Sent", ".Entw&APw-rfe.2025", ".R&-D"):
        maildir(tmp_path / name)
    (tmp_path / ".not-a-folder").mkdir()

    assert [box.name for box in mailboxes(tmp_path, OWNER)] == [
        "INBOX",
        "Entwürfe/2025",
        "R&D",
        "Sent",
    ]


def test_octets_go_on_the_wire_with_crlf(tmp_path: Path) -> None:
    folder = maildir(tmp_path)
    (folder / "new" / "1").write_bytes(b"Subject: x\n\nlf\ncrlf\r\nend")

    [box] = mailboxes(folder, OWNER)

    assert box.messages[0].octets() == b"Subject: x\r\n\r\nlf\r\ncrlf\r\nend"


def test_what_is_no_maildir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no Maildir"):
        list(mailboxes(tmp_path, OWNER))


@pytest.mark.parametrize(
    ("form", "made"),
    [("%08Xu%08Xv", "000000ff00000010"), ("%v-%u", "16-255"), ("%f", "1.a"), ("%g", "guid")],
)
def test_formats_of_unique_ids(form: str, made: str) -> None:
    assert unique_id(form, 255, 16, guid="guid", name="1.a") == made


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(Failure, match="is no format"):
        unique_id("%{owm}", 1, 1, guid="", name="")


def test_rights_of_others_come_along_and_those_of_the_owner_do_not(tmp_path: Path) -> None:
    files = {
        "dovecot-acl": "owner lrwstipekxa\nuser=bert lrs :custom\nuser=eva@far.test lr\n"
        '"user=karl heinz" l\n-user=bert s\ngroup=staff lrwi\nauthenticated l\n# none\n',
    }

    [box] = mailboxes(maildir(tmp_path, **files), OWNER)

    assert box.acl == {
        "bert@example.test": "lrs",
        "eva@far.test": "lr",
        "karl heinz@example.test": "l",
        "-bert@example.test": "s",
        "group:staff@example.test": "lrwi",
        "anyone": "l",
    }


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("anna", ""),
        ("user=anna@example.test", ""),
        ("$staff", "group:staff@example.test"),
        ("group:staff", "group:staff@example.test"),
        ("-anyone", "-anyone"),
        ("anonymous", "anyone"),
    ],
)
def test_how_servers_call_people(name: str, here: str) -> None:
    assert identifier_here(name, OWNER) == here


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("subscriptions", "INBOX\nEntw&APw-rfe.2025\n"),
        ("subscriptions", "V\t2\n\nINBOX\nEntw&APw-rfe\t2025\n"),
        ("courierimapsubscribed", "INBOX\nINBOX.Entw&APw-rfe.2025\n"),
    ],
)
def test_subscriptions(tmp_path: Path, file: str, text: str) -> None:
    assert subscriptions(maildir(tmp_path, **{file: text})) == ["INBOX", "Entwürfe/2025"]
