"""Taking one of our addresses for a message."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from delivery_remote.routes import Target
from delivery_remote.session import Refused, open_session
from delivery_remote.sources import NO_FAMILY, NOT_HERE, USED_UP, Exits, Presence
from delivery_remote.transcript import Reply, Stage
from delivery_remote.trouble import Later, judge_refusal
from posthouse.mail.rates import Buckets
from posthouse.mail.sources import Source
from support.outside import mail, manners, target
from support.scripted_smtp import scripted

TODAY = date(2026, 11, 22)
SERVER = Target(host="mx.b.test", address="127.0.0.1", port=25)
HERE = ("127.0.0.81", "127.0.0.82")


def source(address: str, *warm_up: int) -> Source:
    return Source(address=address, pool="bulk", hostname="out.test", warm_up=warm_up, since=TODAY)


def exits(*sources: Source, buckets: Buckets | None = None) -> Exits:
    return Exits("bulk", sources, buckets or Buckets(), Presence(), lambda: TODAY)


async def test_a_session_comes_from_the_address_and_says_its_name() -> None:
    async with scripted() as peer:
        bound = exits(source(HERE[0])).take(target(peer))
        session = await open_session(bound, manners())
        local = session._talk.line.get_extra_info("sockname")
        transcript = await session.transact(mail())
        await session.quit()

    assert local[0] == HERE[0]
    assert peer.commands[0] == "EHLO out.test"
    assert isinstance(transcript.end, Reply)
    assert session.security.endswith(f"from {HERE[0]}")


def test_the_first_that_can_take_it_takes_it() -> None:
    sources = (source("::1"), source("192.0.2.77"), source(HERE[0], 1), source(HERE[1]))
    house = exits(*sources)

    assert [house.take(SERVER).source for _ in range(3)] == [HERE[0], HERE[1], HERE[1]]


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        ((), NO_FAMILY),
        ((source("::1"),), NO_FAMILY),
        ((source("192.0.2.77"),), NOT_HERE),
        ((source("192.0.2.77"), source(HERE[0], 1)), USED_UP),
    ],
)
def test_without_an_address_the_mail_waits(sources: tuple[Source, ...], why: Reply) -> None:
    house = exits(*sources)
    if why is USED_UP:
        house.take(SERVER)

    with pytest.raises(Refused) as refused:
        house.take(SERVER)

    verdict = judge_refusal(refused.value.refusal)
    assert refused.value.refusal.stage is Stage.SOURCE
    assert refused.value.refusal.answer == why
    assert isinstance(verdict, Later)
    assert verdict.elsewhere  # a server of the other family may do


def test_an_address_is_not_used_before_its_first_day() -> None:
    early = Exits(
        "bulk", (source(HERE[0], 9),), Buckets(), Presence(), lambda: TODAY - timedelta(days=1)
    )

    with pytest.raises(Refused):
        early.take(SERVER)


def test_each_recipient_of_a_message_is_counted() -> None:
    house = exits(source(HERE[0], 240), source(HERE[1]))  # ten in an hour

    assert house.take(SERVER, 9).source == HERE[0]
    assert house.take(SERVER, 9).source == HERE[0], "there was room for one of them"
    assert house.take(SERVER, 1).source == HERE[1]


def test_a_message_to_many_that_did_not_come_to_its_transaction_is_not_counted() -> None:
    buckets = Buckets(lambda: 0.0)
    house = exits(source(HERE[0], 240), buckets=buckets)

    house.give_back(house.take(SERVER, 100), 100)

    assert all(each.seconds == 0 for each in buckets.told())


def test_a_message_that_did_not_come_to_its_transaction_is_not_counted() -> None:
    buckets = Buckets(lambda: 0.0)
    house = exits(source(HERE[0], 1), buckets=buckets)

    for _ in range(3):
        house.give_back(house.take(SERVER))

    assert all(each.seconds == 0 for each in buckets.told())
    assert house.take(SERVER).source == HERE[0]


def test_mail_that_no_pool_was_chosen_for_leaves_as_ever() -> None:
    assert Exits().take(SERVER) == SERVER


def test_a_socket_of_this_machine_needs_no_address() -> None:
    box = Target(host="box", address="/run/lmtp.sock", port=0, lmtp=True)

    assert exits(source("::1")).take(box) == box
