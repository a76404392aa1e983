"""A Dovecot that people leave for us: what they did there, and what a client sees there and here."""

from __future__ import annotations

import asyncio
import imaplib
import poplib
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

from onemachine.certificates import Certificates
from support.dovecot import Store, dovecot
from support.letters import letter
from support.stack import House

OLD = "anna@old.test"
LETTERS = [letter(f"number {n}", body=f"Hello.\n.dot {n}\n") for n in range(6)]


@contextmanager
def old_server(storage: str = "maildir", tls: Certificates | None = None) -> Iterator[Store]:
    """Run Dovecot while tests that are plain functions look at it."""
    with asyncio.Runner() as runner:
        running = dovecot({OLD: ""}, has_readers=True, storage=storage, tls=tls)
        store = runner.run(running.__aenter__())
        try:
            with smtplib.LMTP("127.0.0.1", store.port) as client:
                for octets in LETTERS:
                    client.sendmail("a@elsewhere.test", [OLD], octets)
            yield store
        finally:
            runner.run(running.__aexit__(None, None, None))


def use(client: imaplib.IMAP4) -> None:
    """Give flags and keywords, copy, expunge, as people do."""
    client.select("INBOX")
    client.store("1,3", "+FLAGS", r"(\Seen $Label1)")
    client.store("2", "+FLAGS", r"(\Answered \Flagged NonJunk)")
    client.create("Entw&APw-rfe")
    client.create("Work.Deep")  # a Maildir++ divides levels by dots
    client.copy("1:3", "Entw&APw-rfe")
    client.store("4", "+FLAGS", r"(\Deleted)")
    client.expunge()


def seen_by_imap(client: imaplib.IMAP4, name: str) -> tuple[bytes, dict[int, tuple[object, ...]]]:
    """Return UIDVALIDITY, and by UID: flags, date, octets."""
    client.select(name, readonly=True)
    validity = client.response("UIDVALIDITY")[1][0]
    found: dict[int, tuple[object, ...]] = {}
    for uid in client.uid("SEARCH", "ALL")[1][0].split():
        _, told = client.uid("FETCH", uid.decode(), "(FLAGS INTERNALDATE BODY.PEEK[])")
        (head, octets), *_ = told
        flags = {flag.lower() for flag in imaplib.ParseFlags(head)} - {b"\\recent"}
        found[int(uid)] = (flags, imaplib.Internaldate2tuple(head), octets)
    return validity, found


def seen_by_pop3(client: poplib.POP3, user: str, password: str) -> list[tuple[bytes, bytes]]:
    """Return number with unique id, and the size, of each message."""
    client.user(user)
    client.pass_(password)
    try:
        sizes = [line.split()[1] for line in client.list()[1]]
        return list(zip(client.uidl()[1], sizes, strict=True))
    finally:
        client.quit()


def environment(house: House) -> dict[str, str]:
    return {
        "POSTHOUSE_API_URL": house.demo.api_url,
        "POSTHOUSE_API_TOKEN": house.demo.api_token,
    }
