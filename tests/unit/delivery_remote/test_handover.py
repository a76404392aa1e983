"""One message, several servers: who is asked, in which order, and what each recipient learns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from delivery_remote.destinations import Destinations
from delivery_remote.handover import Handover, Said
from delivery_remote.next_hop import PLAIN_SECONDS, Limits
from delivery_remote.pace import Hall, Shape, Shaping
from delivery_remote.routes import Plan
from delivery_remote.session import Mail
from delivery_remote.trouble import Later, Never, Taken
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.errors import MissingObject, Unavailable
from support.outside import mail, manners, target
from support.scripted_smtp import DROP, HANG, Peer, scripted

LIMITS = Limits(rest=timedelta(seconds=30))


@pytest.fixture
async def destinations() -> AsyncIterator[Destinations]:
    async with Destinations(manners(), LIMITS) as known:
        yield known


def _people(*addresses: str) -> tuple[InboundRecipient, ...]:
    return tuple(InboundRecipient(n=n, address=a) for n, a in enumerate(addresses, 1))


async def _hand_over(
    destinations: Destinations,
    peers: list[Peer],
    *addresses: str,
    message: Mail | None = None,
) -> list[Said]:
    plan = Plan("b.test", tuple(target(peer, host=f"mx{n}.b.test") for n, peer in enumerate(peers)))
    people = _people(*(addresses or ("bert@b.test",)))
    destination = destinations.get("b.test")
    async with destination.slot():
        results = await Handover(destinations, plan, message or mail(), people).run(destination)
    return [results[each.n] for each in people]


async def test_the_first_server_that_takes_it_is_the_only_one_asked(
    destinations: Destinations,
) -> None:
    async with scripted() as first, scripted() as second:
        (said,) = await _hand_over(destinations, [first, second])

    assert said.verdict == Taken("250 2.0.0 taken")
    assert said.host == "mx0.b.test [127.0.0.1]"
    assert second.connections == 0


@pytest.mark.parametrize(
    "words",
    [
        {"connect": "421 4.3.2 too busy"},
        {"connect": "554 5.7.1 no service"},
        {"connect": DROP},
        {"connect": HANG},
        {"EHLO": "502 what?", "HELO": "502 what?"},
        {"MAIL": "451 4.3.0 not now"},
        {"MAIL": DROP},
        {"RCPT": "450 4.2.0 greylisted"},
        {"RCPT": DROP},
        {"DATA": "451 4.3.0 not now"},
        {"DATA": DROP},
        {".": "451 4.3.0 not now"},
    ],
)
async def test_after_trouble_the_next_server_is_asked(
    destinations: Destinations, words: dict[str, str]
) -> None:
    async with scripted(words) as first, scripted() as second:
        (said,) = await _hand_over(destinations, [first, second])

    assert said.verdict == Taken("250 2.0.0 taken")
    assert said.host.startswith("mx1.")
    assert not any(first.accepted)  # the lone dot of a refused transaction is no message


@pytest.mark.parametrize("word", ["MAIL", "RCPT", "DATA", "."])
async def test_a_permanent_no_ends_it_at_the_first_server(
    destinations: Destinations, word: str
) -> None:
    async with scripted({word: "550 5.7.1 no"}) as first, scripted() as second:
        (said,) = await _hand_over(destinations, [first, second])

    assert isinstance(said.verdict, Never)
    assert second.connections == 0


async def test_silence_after_the_dot_asks_nobody_else(destinations: Destinations) -> None:
    async with scripted(dot=DROP) as first, scripted() as second:
        (said,) = await _hand_over(destinations, [first, second])

    assert isinstance(said.verdict, Later)
    assert second.connections == 0


async def test_a_dead_server_is_passed_over(destinations: Destinations) -> None:
    async with scripted() as dead:
        pass
    async with scripted() as living:
        (said,) = await _hand_over(destinations, [dead, living])

    assert isinstance(said.verdict, Taken)


async def test_if_no_server_is_there_the_destination_rests(destinations: Destinations) -> None:
    async with scripted() as dead:
        pass

    (said,) = await _hand_over(destinations, [dead])

    assert isinstance(said.verdict, Later)
    assert said.verdict.reply == "Connection refused"
    rest = destinations.get("b.test").resting()
    assert rest is not None
    assert rest.trouble == said.verdict


async def test_only_those_who_must_wait_are_asked_for_at_the_next_server(
    destinations: Destinations,
) -> None:
    rcpt = ["250 ok", "550 5.1.1 unknown", "450 4.2.0 greylisted"]
    async with scripted(RCPT=rcpt) as first, scripted() as second:
        said = await _hand_over(destinations, [first, second], "a@b.test", "b@b.test", "c@b.test")

    assert [type(each.verdict) for each in said] == [Taken, Never, Taken]
    assert [c for c in second.commands if c.startswith("RCPT")] == ["RCPT TO:<c@b.test>"]


async def test_a_reason_a_server_gave_is_kept_when_the_next_is_not_there(
    destinations: Destinations,
) -> None:
    async with scripted() as dead:
        pass
    async with scripted(RCPT="450 4.2.0 greylisted") as first:
        (said,) = await _hand_over(destinations, [first, dead])

    assert isinstance(said.verdict, Later)
    assert said.verdict.status.dotted == "4.2.0"
    assert destinations.get("b.test").resting() is None


async def test_more_than_a_hundred_recipients_take_more_transactions(
    destinations: Destinations,
) -> None:
    async with scripted() as peer:
        said = await _hand_over(destinations, [peer], *(f"u{n}@b.test" for n in range(230)))

    assert all(isinstance(each.verdict, Taken) for each in said)
    assert len(peer.accepted) == 3
    assert peer.connections == 1


async def test_a_server_that_takes_few_at_a_time_gets_them_at_once(
    destinations: Destinations,
) -> None:
    few = (["250 ok"] * 2 + ["452 4.5.3 too many recipients"] * 3) + (
        ["250 ok"] * 2 + ["452 4.5.3 too many recipients"]
    )
    async with scripted(RCPT=[*few, "250 ok"]) as peer:
        said = await _hand_over(destinations, [peer], *(f"u{n}@b.test" for n in range(5)))

    assert all(isinstance(each.verdict, Taken) for each in said)
    assert len(peer.accepted) == 3


async def test_a_session_is_used_again(destinations: Destinations) -> None:
    async with scripted() as peer:
        for _ in range(3):
            (said,) = await _hand_over(destinations, [peer])
            assert isinstance(said.verdict, Taken)

    assert peer.connections == 1
    assert len(peer.accepted) == 3


async def test_a_kept_session_that_was_closed_costs_nothing(destinations: Destinations) -> None:
    async with scripted(MAIL=["250 ok", DROP, "250 ok", "421 4.7.0 enough", "250 ok"]) as peer:
        for _ in range(3):
            (said,) = await _hand_over(destinations, [peer])
            assert isinstance(said.verdict, Taken)

    assert len(peer.accepted) == 3
    assert destinations.get("b.test").resting() is None


async def test_a_session_is_closed_after_its_time() -> None:
    limits, shaping = replace(LIMITS, idle=timedelta()), Shaping(Shape(transactions=2))
    async with Destinations(manners(), limits, shaping) as known, scripted() as peer:
        for _ in range(4):
            await _hand_over(known, [peer])
        known.sweep()

        assert peer.connections == 2
        await asyncio.wait_for(peer.quiet.wait(), 5)
        assert peer.commands.count("QUIT") == 2


async def test_when_all_ends_goodbye_is_said() -> None:
    async with scripted() as peer:
        async with Destinations(manners(), LIMITS) as known:
            await _hand_over(known, [peer])

        assert peer.commands[-1] == "QUIT"


async def test_no_more_sessions_at_once_than_the_destination_bears() -> None:
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(
            Destinations(manners(), LIMITS, Shaping(Shape(sessions=3)))
        )
        peer = await stack.enter_async_context(scripted())
        known.get("b.test").site.limit = 3

        said = await asyncio.gather(*(_hand_over(known, [peer]) for _ in range(12)))

    assert all(isinstance(each.verdict, Taken) for (each,) in said)
    assert peer.most_open <= 3
    assert len(peer.accepted) == 12


async def test_octets_that_cannot_be_had_are_our_trouble_and_nobody_elses(
    destinations: Destinations,
) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b"Subject: half\r\n"
        raise Unavailable("storage is not available")

    async with scripted() as peer:
        with pytest.raises(Unavailable):
            await _hand_over(destinations, [peer], message=replace(mail(), pieces=nothing))

    assert peer.messages == []


async def test_once_somebody_has_it_missing_octets_only_delay_the_others(
    destinations: Destinations,
) -> None:
    calls: list[int] = []

    async def once() -> AsyncIterator[bytes]:
        yield b"Subject: here\r\n\r\n"
        calls.append(1)
        if len(calls) > 1:
            raise MissingObject("gone")

    async with scripted() as peer:
        said = await _hand_over(
            destinations,
            [peer],
            *(f"u{n}@b.test" for n in range(150)),
            message=replace(mail(), pieces=once),
        )

    assert [type(each.verdict) for each in said] == [Taken] * 100 + [Later] * 50
    assert len(peer.accepted) == 1


async def test_tls_that_failed_is_tried_again_after_a_while() -> None:
    now = [1000.0]
    once = Shaping(default=Shape(transactions=1))
    hall = Hall(clock=lambda: now[0])
    async with (
        Destinations(manners(), LIMITS, once, hall) as known,
        scripted(EHLO="250-peer.test\n250 STARTTLS", STARTTLS="454 4.7.0 not now") as peer,
    ):
        tried = []
        for seconds in (0.0, PLAIN_SECONDS - 1, 1.0):
            now[0] += seconds
            (said,) = await _hand_over(known, [peer])
            assert isinstance(said.verdict, Taken)
            tried.append(peer.commands.count("STARTTLS"))

    assert tried == [1, 1, 2]
