"""Programs that keep mailboxes the same in two places, while both places change.

`make test` takes some letters, `make clients` 5,000 (`POSTHOUSE_TEST_LETTERS`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from support.clients import LETTERS, Desk, User, kept, mutt_asked, mutt_into_maildir
from support.letters import letter
from support.mirrors import dsync, interimap, mbsync, offlineimap, watching_interimap
from support.readers import SENT, names, sums, unix, without
from support.stack import House, eventually

pytestmark = pytest.mark.journey

State = dict[bytes, frozenset[str]]
MARKS = {  # of Maildir, in the names of files
    "D": r"\Draft",
    "F": r"\Flagged",
    "P": "$Forwarded",
    "R": r"\Answered",
    "S": r"\Seen",
    "T": r"\Deleted",
    "a": "$Forwarded",  # Dovecot's first keyword
}
LETTERS_HERE = SENT if LETTERS > 1000 else SENT[:60]


def lots(letters: list[bytes], count: int) -> list[list[bytes]]:
    """Return the Message-IDs of letters in ``count`` lots of the same size."""
    bounds = [len(letters) * n // count for n in range(count + 1)]
    return [names(letters[first:last]) for first, last in pairwise(bounds)]


def change(house: House, user: User, lot: Iterable[bytes], flags: str) -> None:
    """Add flags to letters of INBOX; expunge what is deleted then."""
    wanted = set(lot)
    with house.imap(user) as client:
        client.select("INBOX")
        numbers = [number for number, name in enumerate(state(house, user), 1) if name in wanted]
        client.store(",".join(map(str, numbers)), "+FLAGS.SILENT", f"({flags})")
        client.expunge()


def expunge_first(house: House, user: User, mirror: User) -> None:
    """Expunge the first letter of INBOX once the mirror knows that it is deleted: no more is told then."""
    with house.imap(user) as client:
        client.select("INBOX")
        client.store("1", "+FLAGS.SILENT", r"(\Deleted)")
        eventually(
            lambda: next(iter(state(house, mirror).values())), lambda marks: r"\Deleted" in marks
        )
        client.expunge()


def state(house: House, user: User, mailbox: str = "INBOX") -> State:
    """Return the Message-IDs of a mailbox, in its order, and the flags of each."""
    with house.imap(user) as client:
        client.select(mailbox, readonly=True)
        told = client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]
    parts = [part for part in told if isinstance(part, tuple)]
    return {
        names([field])[0]: frozenset(re.findall(r"[$\\]\w+", head.decode())) - {r"\Recent"}
        for head, field in parts
    }


def state_here(maildir: Path) -> dict[bytes, tuple[Path, frozenset[str]]]:
    """Return the file and the flags of each Message-ID of a Maildir."""
    files = [file for place in ("new", "cur") for file in (maildir / place).iterdir()]
    return {
        names([file.read_bytes()])[0]: (
            file,
            frozenset(MARKS[mark] for mark in file.name.partition(":2,")[2]),
        )
        for file in files
    }


def mark(maildir: Path, lot: Iterable[bytes], marks: str) -> None:
    """Give letters of a Maildir these marks instead of theirs."""
    found = state_here(maildir)
    for name in lot:
        file, _ = found[name]
        file.rename(maildir / "cur" / f"{file.name.partition(':')[0]}:2,{marks}")


def test_isync_carries_what_both_sides_did(desk: Desk) -> None:
    house, user = desk.house, desk.user
    house.append(user, LETTERS_HERE)
    gone_here, gone_there, gone_and_marked, marked, unread, left = lots(LETTERS_HERE, 6)
    change(house, user, unread, r"\Seen")
    inbox = mbsync(desk) / "INBOX"
    mark(inbox, gone_here, "ST")
    mark(inbox, gone_and_marked, "T")
    mark(inbox, marked, "F")
    mark(inbox, unread, "")
    written = [letter(f"offline {n}") for n in range(5)]
    for number, octets in enumerate(written):
        (inbox / "new" / f"{number}.offline").write_bytes(unix(octets))
    change(house, user, gone_there, r"\Deleted")
    change(house, user, gone_and_marked, r"\Flagged")
    change(house, user, [*marked, *unread], r"\Answered $Forwarded")
    online = letter("online")
    house.append(user, [online])

    mbsync(desk)

    there = state(house, user)
    here = {name: marks for name, (_, marks) in state_here(inbox).items()}
    assert here == there
    kept_ids = {*marked, *unread, *left, *names([*written, online])}
    assert {*there} - kept_ids == set()
    assert len(there) == len(kept_ids)
    assert {there[name] for name in marked} == {
        frozenset({r"\Flagged", r"\Answered", "$Forwarded"})
    }
    assert {there[name] for name in unread} == {frozenset({r"\Answered", "$Forwarded"})}
    assert sums(without(b"X-TUID", one) for one in kept(inbox)) == sums(
        without(b"X-TUID", unix(one)) for one in house.messages(user)
    )


def test_offlineimap_carries_deletions_and_flags_both_ways(desk: Desk) -> None:
    house, letters = desk.house, SENT[:30]
    house.append(desk.user, letters)
    inbox = offlineimap(desk) / "INBOX"
    here = sorted((inbox / "new").iterdir()) + sorted((inbox / "cur").iterdir())
    gone_here = names([file.read_bytes() for file in here[:10]])
    for file in here[:10]:
        file.unlink()
    (inbox / "cur" / (here[10].name.partition(":")[0] + ":2,F")).write_bytes(here[10].read_bytes())
    here[10].unlink()
    with house.imap(desk.user) as client:
        client.select("INBOX")
        found = client.search(None, "ALL")[1][0].split()
        client.store(found[-1].decode(), "+FLAGS", r"(\Deleted)")
        client.expunge()

    offlineimap(desk)

    there = house.messages(desk.user)
    assert names(there) == names(kept(inbox))
    assert len(there) == 30 - len({*gone_here, *names(letters[-1:])})
    with house.imap(desk.user) as client:
        client.select("INBOX", readonly=True)
        assert len(client.search(None, "FLAGGED")[1][0].split()) == 1


def test_dovecot_takes_over_what_is_here_and_what_has_changed(desk: Desk) -> None:
    house, user = desk.house, desk.user
    house.append(user, LETTERS_HERE)
    dsync(desk)
    gone, marked, _ = lots(LETTERS_HERE, 3)
    change(house, user, gone, r"\Deleted")
    change(house, user, marked, r"\Flagged \Seen $Forwarded")
    house.append(user, [letter("later")])

    maildir = dsync(desk)

    there = state(house, user)
    assert {name: marks for name, (_, marks) in state_here(maildir).items()} == there
    assert sums(kept(maildir)) == sums(map(unix, house.messages(user)))
    with house.imap(user) as client:
        client.select("INBOX", readonly=True)
        uids = client.uid("SEARCH", "ALL")[1][0].split()
        (validity,) = client.response("UIDVALIDITY")[1]
    first, *lines = (maildir / "dovecot-uidlist").read_bytes().splitlines()
    assert b" V%b " % validity in first
    files = {file.name.partition(":")[0].encode() for file, _ in state_here(maildir).values()}
    listed = dict(line.split(b" :", 1)[::-1] for line in lines)
    assert [uid for name, uid in listed.items() if name in files] == uids


def test_interimap_carries_what_both_sides_did(desk: Desk) -> None:
    house, user, other = desk.house, desk.user, desk.house.account()
    house.append(user, LETTERS_HERE)
    with house.imap(other) as client:
        client.create('"Reisen &- &AMQ-pfel"')
    house.append(other, SENT[:10], "Reisen & Äpfel")
    interimap(desk, other)
    assert sums(house.messages(other)) == sums(LETTERS_HERE)
    gone_here, gone_there, gone_and_marked, marked, left = lots(LETTERS_HERE, 5)
    change(house, user, [*gone_here, *gone_and_marked], r"\Deleted")
    change(house, user, marked, r"\Flagged")
    new = [letter("here"), letter("there")]
    house.append(user, new[:1])
    change(house, other, gone_there, r"\Deleted")
    change(house, other, [*gone_and_marked, *marked], r"\Answered $Forwarded")
    house.append(other, new[1:])

    interimap(desk, other)

    found = state(house, user)
    assert state(house, other) == found
    assert {*found} == {*marked, *left, *names(new)}
    assert {found[name] for name in marked} == {
        frozenset({r"\Flagged", r"\Answered", "$Forwarded"})
    }
    assert sums(house.messages(user)) == sums(house.messages(other))
    assert sums(house.messages(user, '"Reisen &- &AMQ-pfel"')) == sums(SENT[:10])


def test_interimap_is_notified_of_what_comes_and_goes_on_both_sides(desk: Desk) -> None:
    house, user, other = desk.house, desk.user, desk.house.account()
    house.append(user, SENT[:3])
    interimap(desk, other)
    with watching_interimap(desk, other):
        house.append(other, [SENT[3]])
        eventually(lambda: house.messages(user), lambda found: found == SENT[:4])
        house.append(user, [SENT[4]])
        eventually(lambda: house.messages(other), lambda found: found == SENT[:5])
        expunge_first(house, other, user)
        eventually(lambda: house.messages(user), lambda found: found == SENT[1:5])
        expunge_first(house, user, other)
        eventually(lambda: house.messages(other), lambda found: found == SENT[2:5])


def test_mutt_learns_only_what_has_changed(desk: Desk) -> None:
    house, user = desk.house, desk.user
    house.append(user, LETTERS_HERE)
    mutt_into_maildir(desk, "before")
    gone, marked, left = lots(LETTERS_HERE, 3)
    change(house, user, gone, r"\Deleted")
    change(house, user, marked, r"\Flagged \Seen")
    new = letter("new")
    house.append(user, [new])

    copies = state_here(mutt_into_maildir(desk, "after"))

    assert " VANISHED)" in mutt_asked(desk)  # of UID FETCH (RFC 7162 §3.2.6)
    assert {*copies} == {*marked, *left, *names([new])}
    assert {name: marks for name, (_, marks) in copies.items() if marks} == {
        name: frozenset({r"\Flagged", r"\Seen"}) for name in marked
    }
