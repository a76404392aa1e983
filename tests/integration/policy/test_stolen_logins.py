"""Logins of readers count for who watches over accounts; a day is no day of the calendar."""

from __future__ import annotations

import pytest

from policy_engine.outbound.rules import Thresholds, alarms
from policy_engine.outbound.settings import parse_consequences
from posthouse.credentials.exchange import Accepted, Channel
from posthouse.credentials.passwords import hash_password
from posthouse.runtime.logins import open_authenticator
from posthouse.storage import directory
from posthouse.storage.outbound import counting, pausing
from posthouse.storage.outbound.counting import Count
from posthouse.storage.outbound.pausing import Alarm
from posthouse.storage.pool import Pool, transaction
from support.logins import LOGINS

pytestmark = pytest.mark.integration

ANNA = "anna@example.test"
MOST = Thresholds(networks=2, logins=1)


def reader(client: str) -> Channel:
    return Channel(service="imap", client=client, is_trusted=True)


async def test_readers_who_fail_and_who_come_from_many_networks_raise_alarms(pool: Pool) -> None:
    await directory.add_domain(pool, "example.test")
    await directory.add_account(pool, ANNA, hash_password("right"), None)

    async with open_authenticator(LOGINS, pool) as who:
        for n in range(3):
            end = await who.log_in("Anna@example.test", "right", reader(f"192.0.{n}.1"))
            assert isinstance(end, Accepted)
            await who.log_in(ANNA, "right", reader(f"192.0.{n}.7"))  # the same network
        for client in ("198.51.100.1", "203.0.113.1"):
            await who.log_in(ANNA, "wrong", reader(client))
        await who.log_in("nobody@example.test", "wrong", reader("198.51.100.1"))

    [standing] = await counting.add(pool, [])  # as any policy pod does, once a second
    assert (standing.account, standing.networks, standing.logins) == (ANNA, 3, 2)
    assert (standing.messages, standing.failures) == (0, 0)
    found = alarms(standing, MOST, parse_consequences("logins=alert"))
    assert {each.rule: each.detail for each in found} == {
        "networks": "submits or logs in from 3 networks within an hour",
        "logins": "2 failed logins in a day",
    }
    assert await counting.add(pool, []) == []  # told once


async def test_a_day_is_the_last_24_hours(pool: Pool) -> None:
    await counting.add(
        pool, [Count(account=ANNA, recipients=3, strangers={1, 2, 3}, networks=set())]
    )
    await _passes(pool, "20 hours")
    [both] = await counting.add(
        pool, [Count(account=ANNA, recipients=2, strangers={3, 4}, networks=set())]
    )
    assert (both.recipients, both.strangers) == (5, 4)

    await _passes(pool, "5 hours")
    [later] = await counting.add(
        pool, [Count(account=ANNA, recipients=1, strangers={1, 4}, networks=set())]
    )

    # Who was written to 25 hours ago is somebody different again; who was 5 hours ago is not.
    assert (later.recipients, later.strangers) == (3, 2)


async def test_an_alarm_is_raised_once_in_24_hours(pool: Pool) -> None:
    what = Alarm(account=ANNA, rule="volume", consequence="alert", detail="much")

    async def is_news() -> bool:
        async with transaction(pool) as tx:
            return await pausing.alarm(tx, what)

    assert await is_news()
    await _passes(pool, "23 hours")
    assert not await is_news()
    await _passes(pool, "2 hours")
    assert await is_news()


async def _passes(pool: Pool, time: str) -> None:
    """Let time pass, as far as what was counted can see."""
    for table, column in (
        ("outbound_hours", "hour"), ("outbound_strangers", "at"), ("outbound_alarms", "at"),
    ):  # fmt: skip
        await pool.execute(f"update {table} set {column} = {column} - $1::text::interval", time)  # noqa: S608
