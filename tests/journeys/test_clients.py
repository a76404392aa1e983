"""Real mail programs hand mail in and fetch it: what goes in comes out, octet for octet."""

import re

import pytest

from support.clients import Desk, fetchmail, getmail, msmtp, mutt, swaks
from support.letters import letter
from support.mirrors import mbsync
from support.stack import eventually

pytestmark = pytest.mark.journey


def _unix(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n")


def _without_mark(octets: bytes) -> bytes:
    """Leave out the field by which isync knows its own copies again."""
    return re.sub(rb"X-TUID: .*\n", b"", octets)


@pytest.mark.parametrize("how", ["mx", "starttls", "tls"])
def test_swaks_sends_a_letter(desk: Desk, how: str) -> None:
    sent = letter(f"by swaks over {how}", desk.user[0])

    swaks(desk, [desk.user[0]], sent, how=how)

    (found,) = desk.house.await_messages(desk.user, 1)
    assert found.endswith(sent + b"\r\n")  # swaks adds an empty line


def test_msmtp_sends_a_letter_to_two_people(desk: Desk) -> None:
    other, sent = desk.house.account(), letter("by msmtp", desk.user[0])

    msmtp(desk, [desk.user[0], other[0]], _unix(sent))

    assert desk.house.await_messages(desk.user, 1)[0].endswith(sent)
    assert desk.house.await_messages(other, 1)[0].endswith(sent)


def test_isync_mirrors_every_mailbox(desk: Desk) -> None:
    sent = letter("for isync")
    desk.house.send("a@elsewhere.test", [desk.user[0]], sent)
    desk.house.await_messages(desk.user, 1)

    maildirs = mbsync(desk)

    (file,) = (maildirs / "INBOX" / "new").iterdir()
    assert _without_mark(file.read_bytes()).endswith(_unix(sent))
    assert {"Drafts", "Sent", "Junk", "Trash", "Archive"} <= {
        path.name for path in maildirs.iterdir()
    }


def test_isync_brings_flags_and_new_letters_back(desk: Desk) -> None:
    desk.house.send("a@elsewhere.test", [desk.user[0]], letter("to be read"))
    desk.house.await_messages(desk.user, 1)
    maildirs = mbsync(desk)
    (file,) = (maildirs / "INBOX" / "new").iterdir()
    file.rename(maildirs / "INBOX" / "cur" / f"{file.name.partition(':')[0]}:2,FS")
    draft = letter("written offline")
    (maildirs / "Drafts" / "cur" / "1.offline:2,D").write_bytes(_unix(draft))

    mbsync(desk)

    with desk.house.imap(desk.user) as client:
        client.select("INBOX")
        flags = client.fetch("1", "(FLAGS)")[1][0]
    assert isinstance(flags, bytes)
    assert b"\\Seen" in flags
    assert b"\\Flagged" in flags
    (written,) = desk.house.messages(desk.user, "Drafts")
    assert _without_mark(written) == draft


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_fetchmail_fetches_and_deletes(desk: Desk, protocol: str) -> None:
    sent = letter(f"for fetchmail by {protocol}", body="From here\n.\n..\nto there\n")
    desk.house.send("a@elsewhere.test", [desk.user[0]], sent)
    desk.house.await_messages(desk.user, 1)

    got = fetchmail(desk, protocol=protocol)

    assert _unix(sent).partition(b"\n\n")[2] in got
    assert desk.house.messages(desk.user) == []


def test_getmail_fetches_and_deletes(desk: Desk) -> None:
    sent = [letter(f"for getmail {n}") for n in range(3)]
    for one in sent:
        desk.house.send("a@elsewhere.test", [desk.user[0]], one)
    desk.house.await_messages(desk.user, 3)

    got = getmail(desk, delete=True)

    assert sorted(_unix(one).partition(b"Subject")[2] for one in got) == sorted(
        _unix(one).partition(b"Subject")[2] for one in sent
    )
    assert desk.house.messages(desk.user) == []


def test_mutt_opens_the_mailbox_and_copies_the_letter(desk: Desk) -> None:
    sent = letter("for mutt", body="Read on a terminal.\n")
    desk.house.send("a@elsewhere.test", [desk.user[0]], sent)
    desk.house.await_messages(desk.user, 1)

    assert b"Read on a terminal." in mutt(desk)


def test_a_letter_with_a_plus_lands_in_its_folder(desk: Desk) -> None:
    address = desk.user[0].replace("@", "+Archive@")
    sent = letter("for the folder")

    desk.house.send("a@elsewhere.test", [address], sent)

    (found,) = eventually(lambda: desk.house.messages(desk.user, "Archive"), bool)
    assert found.endswith(sent)
