"""Who listens to whose mailboxes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import cast

from imap_gateway.memory.updates import Teller, Updates
from imap_gateway.memory.views import Views
from posthouse.mail.envelope import MailboxChanged
from posthouse.storage.pool import Pool

LAST = 100


class Ear:
    """A session that counts what it hears."""

    def __init__(self) -> None:
        self.count = 0

    def heard(self) -> None:
        self.count += 1


class Bus:
    """Notes what it is to carry."""

    def __init__(self) -> None:
        self.told: list[MailboxChanged] = []
        self.has_last = asyncio.Event()

    async def notify(self, changes: Sequence[MailboxChanged]) -> None:
        self.told += changes
        if changes[-1].modseq == LAST:
            self.has_last.set()


def updates(teller: Teller | None = None) -> Updates:
    views = Views(cast("Pool", None), lambda: 0.0)
    return Updates(cast("Pool", None), views, teller or cast("Teller", None))


async def test_many_steps_of_a_mailbox_are_few_notices_and_the_last_is_told() -> None:
    bus = Bus()
    some = updates(bus)
    telling = asyncio.create_task(some.keep_telling())
    for step in range(1, LAST + 1):
        some.tell(1, 7, step)
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await bus.has_last.wait()
    telling.cancel()

    assert bus.told[0].modseq <= 2  # at once
    assert len(bus.told) < LAST // 2


def test_each_hears_of_the_accounts_that_it_named_last() -> None:
    some, one, other = updates(), Ear(), Ear()
    some.listen(one, {1, 2})
    some.listen(other, {2, 3})
    some.listen(one, {1, 3})
    for account in (1, 2, 3):
        some.heard(MailboxChanged(account=account, mailbox=7, modseq=1))
    assert (one.count, other.count) == (2, 2)

    some.unlisten(one)
    some.unlisten(one)
    some.missed()
    assert (one.count, other.count) == (2, 3)


def test_thousands_who_listen_cost_each_other_nothing() -> None:
    some, ears = updates(), [Ear() for _ in range(10_000)]
    began = time.process_time()
    for _ in range(2):
        for account, ear in enumerate(ears):
            some.listen(ear, {account})
    assert time.process_time() - began < 1
