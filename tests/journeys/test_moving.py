"""A mailbox moves here from a real Dovecot: its clients notice no difference."""

from __future__ import annotations

import imaplib
import poplib
from pathlib import Path

import pytest
from typer.testing import Result

from support import commands
from support.dovecot import PASSWORD, Store
from support.old_server import (
    LETTERS,
    OLD,
    environment,
    old_server,
    seen_by_imap,
    seen_by_pop3,
    use,
)
from support.stack import House

pytestmark = pytest.mark.journey


def share(client: imaplib.IMAP4, mate: str) -> None:
    """Name mailboxes as people do, subscribe, share, send, use the words of others."""
    for name in ("Gesendet", "user.old", "Entw&APw-rfe"):
        client.create(name)
        client.append(name, r"(\Seen)", None, LETTERS[0])
    for name in ("INBOX", "Gesendet", "user.old"):
        client.subscribe(name)
    client.select("INBOX")
    client.store("1", "+FLAGS", "(Work)")
    client.store("2", "+FLAGS", "(work $Label2)")
    client.setacl("Gesendet", mate, "lrs")
    client.setacl("Gesendet", "nobody", "lr")


def posthouse(house: House, *arguments: str) -> Result:
    told = commands.posthouse(*arguments, env=environment(house))
    assert told.exit_code == 0, told.output
    return told


def test_uids_flags_dates_and_unique_ids_come_along(house: House) -> None:
    user = house.account()
    with old_server() as store:
        with imaplib.IMAP4("127.0.0.1", store.imap) as client:
            client.login(OLD, PASSWORD)
            use(client)
            before = {name: seen_by_imap(client, name) for name in ("INBOX", "Entw&APw-rfe")}
            uidnext = client.status("INBOX", "(UIDNEXT)")[1]
        by_pop3 = seen_by_pop3(poplib.POP3("127.0.0.1", store.pop3), OLD, PASSWORD)
        posthouse(house, "mailbox", "import", user[0], str(store.maildir(OLD)))
        again = posthouse(house, "mailbox", "import", user[0], str(store.maildir(OLD)))

    assert "INBOX: 0 imported, 5 were here, 0 with new flags" in again.output
    with house.imap(user) as new:
        assert {name: seen_by_imap(new, name) for name in before} == before
        assert new.status("INBOX", "(UIDNEXT)")[1] == uidnext
        assert any(b"Work/Deep" in line for line in new.list()[1] if isinstance(line, bytes))
    pop3 = poplib.POP3_SSL("localhost", house.port("pop3s"), context=house.trust)
    assert seen_by_pop3(pop3, *user) == by_pop3


def test_mail_that_came_meanwhile_is_kept_beside_it(house: House, tmp_path: Path) -> None:
    user = house.account()
    for place in ("cur", "new", "tmp"):
        (tmp_path / place).mkdir()
    (tmp_path / "cur" / "1.a:2,").write_bytes(LETTERS[0])
    (tmp_path / "dovecot-uidlist").write_text("3 V1275660208 N2\n1 :1.a\n")
    posthouse(house, "mailbox", "import", user[0], str(tmp_path))
    house.send("a@elsewhere.test", [user[0]], LETTERS[5])
    house.await_messages(user, 2)
    (tmp_path / "cur" / "2.b:2,").write_bytes(LETTERS[1])
    (tmp_path / "dovecot-uidlist").write_text("3 V1275660208 N3\n1 :1.a\n2 :2.b\n")

    told = posthouse(house, "mailbox", "import", user[0], str(tmp_path))

    assert "INBOX: 1 imported, 1 were here, 0 with new flags, 1 with another UID" in told.output
    kept = house.messages(user)
    assert (kept[0], kept[2]) == (LETTERS[0], LETTERS[1])
    pop3 = poplib.POP3_SSL("localhost", house.port("pop3s"), context=house.trust)
    uidls = [line.split()[1] for line, _ in seen_by_pop3(pop3, *user)]
    assert uidls == [b"000000014c0907b0", b"1275660208.2", b"000000024c0907b0"]


def test_a_mailbox_with_mail_of_its_own_is_not_taken_over(house: House, tmp_path: Path) -> None:
    user = house.account()
    house.send("a@elsewhere.test", [user[0]], LETTERS[5])
    house.await_messages(user, 1)
    for place in ("cur", "new", "tmp"):
        (tmp_path / place).mkdir()
    (tmp_path / "cur" / "1.a:2,").write_bytes(LETTERS[0])

    told = commands.posthouse("mailbox", "import", user[0], str(tmp_path), env=environment(house))

    assert told.exit_code == 1
    assert "INBOX has had messages of its own" in told.output


def shared_and_subscribed(client: imaplib.IMAP4) -> dict[str, object]:
    acl = client.getacl("Gesendet")[1]
    lines = [line for line in client.list()[1] if isinstance(line, bytes)]
    subscribed = b"\n".join(line for line in client.lsub()[1] if isinstance(line, bytes))
    client.select("INBOX", readonly=True)
    keywords = [
        sorted(flag.lower() for flag in imaplib.ParseFlags(line) if not flag.startswith(b"\\"))
        for line in client.fetch("1:2", "(FLAGS)")[1]
        if isinstance(line, bytes)
    ]
    return {
        "subscribed": [
            name in subscribed for name in (b"Gesendet", b'"own user/old"', b"Entw&APw-rfe")
        ],
        "keywords": keywords,
        "sent": any(b"\\Sent" in line and b"Gesendet" in line for line in lines),
        "acl": any(b"mate-" in line for line in acl if isinstance(line, bytes)),
        "own": client.select('"own user/old"', readonly=True)[1],
    }


def words_of(way: str, store: Store, address: str, folder: Path) -> list[str]:
    """Return the command that takes the old mailboxes over, by their files or by IMAP and POP3."""
    if way == "maildir":
        return ["mailbox", "import", address, str(store.maildir(OLD))]
    secret = folder / "secret"
    secret.write_text(f"{PASSWORD}\n")
    command = ["mailbox", "import-imap", address, f"imap://127.0.0.1:{store.imap}", "--user", OLD]
    pop3 = f"pop3://127.0.0.1:{store.pop3}"
    return [*command, "--password-file", str(secret), "--pop3", pop3]


@pytest.mark.parametrize("way", ["maildir", "imap"])
def test_what_is_shared_subscribed_and_flagged_comes_along_and_later_flags_follow(
    house: House, tmp_path: Path, way: str
) -> None:
    user = house.account()
    house.account(f"mate-{way}")
    with old_server() as store:
        command = words_of(way, store, user[0], tmp_path)
        with imaplib.IMAP4("127.0.0.1", store.imap) as client:
            client.login(OLD, PASSWORD)
            use(client)
            share(client, f"mate-{way}")
            before = seen_by_imap(client, "INBOX")
        by_pop3 = seen_by_pop3(poplib.POP3("127.0.0.1", store.pop3), OLD, PASSWORD)
        first = commands.posthouse(*command, env=environment(house))
        with imaplib.IMAP4("127.0.0.1", store.imap) as client:
            client.login(OLD, PASSWORD)
            client.select("INBOX")
            client.store("1", "-FLAGS", r"(\Seen)")
            client.store("2", "+FLAGS", "(late)")
        with house.imap(user) as new:
            moved = seen_by_imap(new, "INBOX")
            new.select("INBOX")
            new.store("1", "+FLAGS", r"(\Flagged mine)")
        again = commands.posthouse(*command, env=environment(house))

    assert moved == before
    assert "left out: rights lr of nobody@" in first.output
    assert "INBOX: 0 imported, 5 were here, 2 with new flags" in again.output
    with house.imap(user) as new:
        assert shared_and_subscribed(new) == {
            "subscribed": [True, True, False],
            "keywords": [
                [b"$label1", b"mine", b"work"],
                [b"$label2", b"late", b"nonjunk", b"work"],
            ],
            "sent": way == "imap",
            "acl": True,
            "own": [b"1"],
        }
    pop3 = poplib.POP3_SSL("localhost", house.port("pop3s"), context=house.trust)
    assert seen_by_pop3(pop3, *user) == by_pop3
