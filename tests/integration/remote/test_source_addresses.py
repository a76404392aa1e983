"""Mail that leaves from the addresses that an operator has chosen for it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from delivery_remote.delivery import Delivery
from delivery_remote.next_hop import Limits
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.envelope import Remote
from posthouse.mail.sources import Source, SourceUse
from posthouse.runtime.rates import SharedRates
from posthouse.storage.directory.sources import set_source, set_source_use
from support.remote import Station

pytestmark = pytest.mark.integration

POOL = ("127.0.0.91", "127.0.0.92", "127.0.0.93")
ABSENT = "192.0.2.1"


async def pool(station: Station, *addresses: str, warm_up: tuple[int, ...] = ()) -> None:
    today = datetime.now(UTC).date()
    for n, address in enumerate(addresses):
        await set_source(
            station.pool,
            Source(
                address=address, pool="news", hostname=f"out{n}.test", warm_up=warm_up, since=today
            ),
        )
    await set_source_use(station.pool, SourceUse(sender="@news.test", domain="*", pool="news"))


async def names(station: Station, delivery: Delivery, count: int, sender: str) -> Counter[str]:
    """Deliver ``count`` mails and return under which names they came."""
    peer = await station.server()
    station.domain("b.test", peer.host)
    for n in range(count):
        envelope = await station.accept(f"u{n}@b.test", sender=f"u{n % 40}@{sender}")
        assert isinstance(await delivery.deliver(envelope), Ack)
    heard = [each.partition(" ")[2] for each in peer.commands if each.startswith("EHLO")]
    assert peer.connections == len(heard)
    return Counter(heard)


async def test_a_pool_is_shared_and_each_address_says_its_name(station: Station) -> None:
    await pool(station, *POOL)

    heard = await names(station, station.delivery, 20, "news.test")

    assert heard == {"out0.test": 1, "out1.test": 1, "out2.test": 1}  # a kept session for each


async def test_other_mail_leaves_as_ever(station: Station) -> None:
    await pool(station, *POOL)

    assert await names(station, station.delivery, 3, "a.test") == {"mail.example.test": 1}


async def test_an_address_that_the_machine_lacks_leaves_its_mail_to_the_others(
    station: Station,
) -> None:
    await pool(station, ABSENT, POOL[0])

    assert await names(station, station.delivery, 10, "news.test") == {"out1.test": 1}


async def test_mail_waits_where_no_address_can_take_it_and_others_go_on(station: Station) -> None:
    await pool(station, ABSENT, "::1")
    peer = await station.server()
    station.domain("b.test", peer.host)
    news = await station.accept("bert@b.test", sender="x@news.test")
    other = await station.accept("bert@b.test", sender="x@a.test")

    waits = await station.delivery.deliver(news)
    goes = await station.delivery.deliver(other)

    assert isinstance(waits, Wait)
    assert isinstance(goes, Ack)  # the destination does not rest for it
    assert await station.states(news.id) == {0: "deferred"}
    reason = await station.pool.fetchval(
        "select reply from recipients where envelope = $1", news.id
    )
    assert "none of the source addresses is on this machine" in str(reason)
    assert peer.connections == 1


async def test_two_processes_share_the_budget_of_an_address(station: Station) -> None:
    await pool(station, POOL[0], warm_up=(48,))  # two at once, then one each half hour
    peer = await station.server()
    station.domain("b.test", peer.host)
    moves = []
    async with SharedRates(station.pool) as one, SharedRates(station.pool) as other:
        for shared in (one, one, other, other):
            station.parts.sources.buckets = shared.buckets
            envelope = await station.accept("bert@b.test", sender="x@news.test")
            moves.append(type(await station.delivery.deliver(envelope)))
            await one.exchange()
            await other.exchange()

    # The other hears of the first one's with the exchange behind its own first message.
    assert moves == [Ack, Ack, Ack, Wait]
    assert len(peer.accepted) == 3


async def test_a_retry_comes_from_the_address_of_the_first_attempt(station: Station) -> None:
    await pool(station, *POOL)
    peer = await station.server(RCPT=["451 4.7.1 greylisted", "250 ok"])
    station.domain("b.test", peer.host)
    envelope = await station.accept("bert@b.test", sender="x@news.test")

    move = await station.delivery.deliver(envelope)
    assert isinstance(move, Wait)
    await station.time_passes(timedelta(hours=1))
    assert isinstance(move.envelope, Remote)
    assert isinstance(await station.delivery.deliver(move.envelope), Ack)

    assert len({each for each in peer.commands if each.startswith("EHLO")}) == 1


async def test_a_site_that_refuses_one_pool_gets_the_mail_of_others(station: Station) -> None:
    await pool(station, *POOL)
    peer = await station.server(connect=["421 4.7.0 your address is blocked", "220 hello"])
    station.domain("b.test", peer.host)
    station.parts.destinations.limits = Limits(rest=timedelta(minutes=1))
    news = await station.accept("bert@b.test", sender="x@news.test")
    other = await station.accept("bert@b.test", sender="x@a.test")

    refused = await station.delivery.deliver(news)
    taken = await station.delivery.deliver(other)

    assert isinstance(refused, Wait)
    assert isinstance(taken, Ack)


async def test_a_dead_site_rests_although_some_servers_are_of_a_family_that_we_lack(
    station: Station,
) -> None:
    await pool(station, *POOL)
    station.domain("b.test", "127.0.0.250")  # nobody listens there
    station.zone.records["mx0.b.test"].append("AAAA 2001:db8::1")
    station.parts.destinations.limits = Limits(rest=timedelta(minutes=1))

    first = await station.delivery.deliver(
        await station.accept("bert@b.test", sender="x@news.test")
    )
    second = await station.delivery.deliver(
        await station.accept("carl@b.test", sender="x@news.test")
    )

    assert isinstance(first, Wait)
    assert isinstance(second, Wait)
    assert isinstance(first.envelope, Remote)
    assert isinstance(second.envelope, Remote)
    assert (first.envelope.attempts, second.envelope.attempts) == (1, 0)  # put off unasked
