"""A client that comes and goes knows what one knows that stays, whatever happens meanwhile (RFC 7162)."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from posthouse.storage.mailboxes import INBOX, find_mailbox
from posthouse.storage.pool import Pool
from posthouse.storage.snapshots import prune_changes
from support.imap import LETTER, User, add_reader, gateway

pytestmark = pytest.mark.integration

chance = random.Random()  # noqa: S311 - the same on every run, see the seed
ROUNDS = 60
FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "$Work")
_FETCH = re.compile(rb"\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) MODSEQ \((\d+)\)\)")
_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]")


class Cache:
    """What an offline client keeps of a mailbox."""

    def __init__(self) -> None:
        self.flags: dict[int, frozenset[bytes]] = {}
        self.codes: dict[bytes, int] = {}

    def hear(self, lines: list[bytes]) -> None:
        for line in lines:
            if code := _CODE.search(line):
                self.codes[code[1]] = int(code[2])
            if found := _FETCH.fullmatch(line):
                self.flags[int(found[1])] = frozenset(found[2].split()) - {b"\\Recent"}
            if line.startswith(b"* VANISHED (EARLIER) "):
                for uid in _expanded(line.split()[-1]):
                    self.flags.pop(uid, None)

    async def come_back(self, user: User) -> None:
        """Open the mailbox with what is known, then ask for what is new."""
        known = self.codes.get(b"UIDNEXT", 1)
        parameter = ""
        if self.codes:
            uids = f" 1:{known - 1}" if known > 1 and chance.random() < 0.5 else ""
            numbers = sorted(chance.sample(range(len(self.flags)), min(3, len(self.flags))))
            here = sorted(self.flags)
            match = ""
            if numbers and chance.random() < 0.5:
                pairs = [",".join(map(str, (n + 1 for n in numbers))),
                         ",".join(str(here[n]) for n in numbers)]  # fmt: skip
                match = f" ({' '.join(pairs)})"
            validity, step = self.codes[b"UIDVALIDITY"], self.codes[b"HIGHESTMODSEQ"]
            parameter = f" (QRESYNC ({validity} {step}{uids}{match}))"
        self.hear(await user.say(f"SELECT INBOX{parameter}"))
        if self.codes[b"UIDNEXT"] > known:
            new = f"{known}:{self.codes[b'UIDNEXT'] - 1}"
            self.hear(await user.say(f"UID FETCH {new} (FLAGS MODSEQ)"))


def _expanded(written: bytes) -> set[int]:
    uids: set[int] = set()
    for part in written.split(b","):
        first, _, last = part.partition(b":")
        uids |= set(range(int(first), int(last or first) + 1))
    return uids


async def something_happens(user: User) -> None:
    what = chance.choice(("append", "append", "store", "store", "remove", "expunge", "move"))
    some = ",".join(str(chance.randint(1, 40)) for _ in range(3))
    match what:
        case "append":
            await user.append("INBOX", LETTER, "(\\Seen) " if chance.random() < 0.3 else "")
        case "store":
            await user.say(f"UID STORE {some} +FLAGS ({chance.choice(FLAGS)})")
        case "remove":
            await user.say(f"UID STORE {some} -FLAGS ({chance.choice(FLAGS)})")
        case "expunge":
            await user.say(chance.choice(("EXPUNGE", f"UID EXPUNGE {some}")))
        case _:
            await user.say(f"UID MOVE {some} Archive")


@pytest.mark.parametrize("is_pruned", [False, True])
async def test_who_comes_back_knows_all_again(
    pool: Pool, tmp_path: Path, *, is_pruned: bool
) -> None:
    chance.seed(7)
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        there, away = await imap.connect(), await imap.connect()
        await there.login()
        await away.login()
        await there.say("SELECT INBOX")
        await away.say("ENABLE QRESYNC")
        cache = Cache()
        for _ in range(ROUNDS):
            for _ in range(chance.randint(0, 4)):
                await something_happens(there)
            if is_pruned and chance.random() < 0.5:
                inbox = await find_mailbox(pool, account, INBOX)
                await prune_changes(pool, account, inbox.id, chance.randint(0, 3))
            await cache.come_back(away)
            truth = Cache()
            truth.hear(await there.say("UID FETCH 1:* (FLAGS MODSEQ)"))
            assert cache.flags == truth.flags
            await away.say("UNSELECT")
