"""Thunderbird reads a whole mailbox and works in it; only `make clients` installs it."""

from __future__ import annotations

import pytest

from support.clients import Desk
from support.letters import letter
from support.readers import SENT, names, sums
from support.stack import eventually
from support.thunderbird import thunderbird

pytestmark = pytest.mark.desktop


def ids(letters: list[bytes]) -> list[str]:
    """Return the Message-IDs as Thunderbird tells them: without brackets, in their order."""
    return [names([octets])[0].decode().strip("<>") for octets in letters]


def there(desk: Desk, mailbox: str, criterion: str = "ALL") -> list[str]:
    """Return the Message-IDs of what IMAP finds in a mailbox."""
    with desk.house.imap(desk.user) as client:
        client.select(mailbox, readonly=True)
        if not (found := client.search(None, criterion)[1][0]):
            return []
        told = client.fetch(found.replace(b" ", b",").decode(), "(BODY.PEEK[HEADER])")[1]
    return ids([part[1] for part in told if isinstance(part, tuple)])


def test_thunderbird_keeps_every_octet(reader: Desk) -> None:
    with thunderbird(reader) as opened:
        opened.do("enter")
        shown = opened.shown()
        kept = opened.kept()

    assert [one.message_id for one in shown] == ids(SENT)
    assert [one.size for one in shown] == list(map(len, SENT))
    assert sums(kept) == sums(SENT)


def test_what_is_done_in_thunderbird_is_done(desk: Desk) -> None:
    desk.house.append(desk.user, SENT[:60])
    known = ids(SENT[:60])
    with thunderbird(desk) as opened:
        opened.do("enter")
        opened.do("make", "Reisen & Äpfel")
        eventually(opened.folders, lambda names: "Reisen & Äpfel" in names)
        opened.do("move", known[:20], "Archive")
        opened.do("copy", known[20:30], "Reisen & Äpfel")
        opened.do("remove", known[30:40])
        opened.do("flag", known[40:45])
        opened.do("read", known[43:50])
        opened.do("tag", known[50:], "$label1")
        opened.do("compact")

        eventually(lambda: there(desk, "INBOX"), lambda found: found == known[20:30] + known[40:])
        eventually(lambda: there(desk, "Archive"), lambda found: found == known[:20])
        eventually(lambda: there(desk, "Trash"), lambda found: found == known[30:40])
        eventually(
            lambda: there(desk, '"Reisen &- &AMQ-pfel"'), lambda found: found == known[20:30]
        )
        eventually(lambda: there(desk, "INBOX", "FLAGGED"), lambda found: found == known[40:45])
        eventually(lambda: there(desk, "INBOX", "SEEN"), lambda found: found == known[43:50])
        eventually(
            lambda: there(desk, "INBOX", "KEYWORD $label1"), lambda found: found == known[50:]
        )


def test_thunderbird_is_told_what_others_do(desk: Desk) -> None:
    desk.house.append(desk.user, SENT[:3])
    with thunderbird(desk) as opened:
        opened.do("enter")
        assert len(opened.shown()) == 3

        desk.house.send("a@elsewhere.test", [desk.user[0]], letter("while it is open"))
        eventually(opened.shown, lambda shown: len(shown) == 4)
        with desk.house.imap(desk.user) as client:
            client.select("INBOX")
            client.store("1", "+FLAGS", r"(\Flagged $label2)")
            client.store("2", "+FLAGS", r"(\Deleted)")
            client.expunge()
        shown = eventually(opened.shown, lambda shown: len(shown) == 3)
        eventually(opened.shown, lambda shown: shown[0].is_flagged)

    assert [one.message_id for one in shown[:2]] == ids([SENT[0], SENT[2]])
