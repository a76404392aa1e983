"""What judges by lists looks at, and how often it asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast
from uuid import UUID

from policy_engine.content.case import Case
from policy_engine.lists.access import AccessLists
from policy_engine.lists.checks import AccessCheck
from policy_engine.lists.proof import REMEMBER, SenderProof
from posthouse.mail.access_keys import KINDS, Kind
from posthouse.mail.admission import RcptQuestion
from posthouse.storage.access import Entry, Key
from support.names import FakeNames


@dataclass
class _PaperLists:
    """Our lists, on paper."""

    entries: Sequence[Entry]

    async def kinds(self) -> frozenset[Kind]:
        return frozenset(KINDS)

    async def find(self, keys: Sequence[Key], whose: Iterable[str]) -> tuple[Entry, ...]:
        lists = set(whose)
        return tuple(e for e in self.entries if (e.kind, e.key) in keys and e.whose in lists)


async def test_nobody_hides_a_field_behind_hundreds_of_others() -> None:
    fields = b"".join(b"X-A%d: %d\r\n" % (n, n) for n in range(900))
    octets = b"From: a@b.test\r\n" + fields + b"X-Bad: yes\r\n\r\n"
    both = ("anna@our.test", "bert@our.test")
    case = Case(
        id=UUID(int=7), client="192.0.2.1", recipients=both, octets=octets, size=len(octets)
    )
    denied = Entry(whose="*", kind="header", key="x-bad: yes", action="deny")
    check = AccessCheck(cast("AccessLists", _PaperLists([denied])))

    (found,) = await check(case)

    assert (found.rule, found.action) == ("DENY_LIST", "reject")


async def test_a_sender_is_proved_once_for_all_recipients_whatever_its_records_live() -> None:
    names, now = FakeNames({"far.test": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}}), [0.0]
    proof = SenderProof(names, "mx.our.test", timedelta(seconds=30), clock=lambda: now[0])
    asked = RcptQuestion(recipient="", sender="eve@far.test", auth="", client="192.0.2.1")
    other = RcptQuestion(recipient="", sender="eve@far.test", auth="", client="192.0.2.2")

    assert await proof.passes(asked)
    assert await proof.passes(asked)
    assert not await proof.passes(other)
    assert names.asked["far.test", "TXT"] == 2

    now[0] += REMEMBER.total_seconds() + 1
    assert await proof.passes(asked)
    assert names.asked["far.test", "TXT"] == 3
