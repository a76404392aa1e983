"""Mailboxes move here from a Dovecot that keeps them in files of its own, by TLS; what goes there goes here."""

from __future__ import annotations

import imaplib
import poplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import Result

from onemachine.certificates import certificates
from support.commands import posthouse
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One that is under way.

    Attributes:
        store: The old server; its certificate is for 127.0.0.1 and ``mail.old.test``.
        house: The new one.
        user: Address and password there.
        folder: For files, the certificates among them.
    """

    store: Store
    house: House
    user: tuple[str, str]
    folder: Path

    def go(self, host: str = "127.0.0.1", *, is_trusted: bool = True) -> Result:
        """Take over what there is, deletions too."""
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        doors = [
            f"imaps://{host}:{self.store.imaps}",
            "--pop3",
            f"pop3s://{host}:{self.store.pop3s}",
        ]
        options = ["--user", OLD, "--password-file", str(secret), "--delete"]
        trust = {"SSL_CERT_FILE": str(self.folder / "tls" / "ca.pem")} if is_trusted else {}
        words = ["mailbox", "import-imap", self.user[0], *doors, *options]
        return posthouse(*words, env={**environment(self.house), **trust})

    def there(self) -> imaplib.IMAP4:
        """Come in at the old server."""
        client = imaplib.IMAP4("127.0.0.1", self.store.imap)
        client.login(OLD, PASSWORD)
        return client

    def unique_ids(self) -> tuple[list[bytes], list[bytes]]:
        """Return those of the INBOX there and here, in order."""
        old = poplib.POP3("127.0.0.1", self.store.pop3)
        new = poplib.POP3_SSL("localhost", self.house.port("pop3s"), context=self.house.trust)
        there, here = seen_by_pop3(old, OLD, PASSWORD), seen_by_pop3(new, *self.user)
        return [line.split()[1] for line, _ in there], [line.split()[1] for line, _ in here]


@pytest.fixture(params=["sdbox", "mdbox"])
def removal(request: pytest.FixtureRequest, house: House, tmp_path: Path) -> Iterator[Removal]:
    tls = certificates(tmp_path / "tls", ["mail.old.test"])
    with old_server(request.param, tls) as store:
        made = Removal(store=store, house=house, user=house.account(), folder=tmp_path)
        with made.there() as client:
            use(client)
        yield made


def test_a_server_that_cannot_say_who_it_is_learns_no_password(removal: Removal) -> None:
    unknown = removal.go(is_trusted=False)
    misnamed = removal.go("localhost")

    assert (unknown.exit_code, misnamed.exit_code) == (1, 1)
    assert "certificate verify failed" in unknown.output
    assert "not valid for 'localhost'" in " ".join(misnamed.output.split())
    assert removal.house.messages(removal.user) == []


def test_what_is_deleted_there_goes_here_and_what_came_or_was_moved_here_stays(
    removal: Removal,
) -> None:
    with removal.there() as client:
        before = {name: seen_by_imap(client, name) for name in ("INBOX", "Entw&APw-rfe")}
    first = removal.go()
    with removal.house.imap(removal.user) as new:
        moved = {name: seen_by_imap(new, name) for name in before}
        new.create("Kept")
        new.select("INBOX")
        new.uid("MOVE", "1", "Kept")
    there, here = removal.unique_ids()
    removal.house.send("a@elsewhere.test", [removal.user[0]], LETTERS[5])
    removal.house.await_messages(removal.user, 5)
    with removal.there() as client:
        client.select("INBOX")
        client.uid("STORE", "1,2,6", "+FLAGS", r"(\Deleted)")
        client.expunge()
    again, third = removal.go(), removal.go()

    assert first.exit_code == 0, first.output
    assert moved == before
    assert here == there[1:]
    assert "INBOX: 0 imported, 2 were here, 0 with new flags" in again.output
    assert "2 deleted." in again.output
    assert "2 deleted." not in third.output
    with removal.house.imap(removal.user) as new:
        validity, left = seen_by_imap(new, "INBOX")
        assert (validity, list(left)) == (before["INBOX"][0], [3, 5, 7])
        assert len(seen_by_imap(new, "Kept")[1]) == 1
