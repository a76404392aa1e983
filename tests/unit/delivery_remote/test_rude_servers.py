"""Servers that speak, stop or go while the message is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from delivery_remote import handover as room
from delivery_remote.destinations import Destinations
from delivery_remote.handover import Handover
from delivery_remote.next_hop import Limits
from delivery_remote.pace import Shape, Shaping
from delivery_remote.routes import Plan
from delivery_remote.session import open_session
from delivery_remote.transcript import Lost, Reply
from delivery_remote.trouble import Later, Taken
from posthouse.mail.envelope import InboundRecipient
from support.outside import QUICK, mail, manners, target
from support.scripted_smtp import HANG, Peer, scripted

LARGE = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 200_000  # more than sockets buffer

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _after_go_ahead(talk: Talk) -> AsyncIterator[Peer]:
    """Serve politely up to 354, then do as ``talk`` says."""
    talks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 rude.test\r\n")
        for answer in (b"250 rude.test\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await reader.readline()
            writer.write(answer)
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.get_running_loop().create_task(serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield Peer({}, port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def test_a_refusal_before_the_dot_is_believed() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)
        writer.write(b"552 5.3.4 too large\r\n")
        while await reader.read(65_536):
            pass

    async with _after_go_ahead(refuse) as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail(octets=LARGE))

    assert transcript.end == Reply(552, "5.3.4 too large")
    assert not session.is_usable


async def test_a_yes_before_the_dot_is_not_believed() -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)
        writer.write(b"250 2.0.0 taken already\r\n")
        while await reader.read(65_536):
            pass

    async with _after_go_ahead(lie) as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail(octets=LARGE))

    assert isinstance(transcript.end, Reply)
    assert transcript.end.code == 451


async def test_a_server_that_takes_no_more_octets_is_given_up() -> None:
    async def starve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cast(asyncio.Transport, writer.transport).pause_reading()
        await asyncio.Event().wait()

    async with _after_go_ahead(starve) as peer:
        impatient = manners(replace(QUICK, block=0.3, quit=0.1))
        session = await open_session(target(peer), impatient)
        async with asyncio.timeout(5):
            transcript = await session.transact(mail(octets=LARGE))

    assert isinstance(transcript.content, Lost)
    assert transcript.end is None


async def test_a_server_that_goes_without_a_word_has_not_got_it() -> None:
    async def leave(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)

    async with _after_go_ahead(leave) as peer:
        session = await open_session(target(peer), manners())
        transcript = await session.transact(mail(octets=LARGE))

    assert isinstance(transcript.content, Lost)
    assert transcript.end is None


async def test_a_server_that_does_not_reset_is_left() -> None:
    async with scripted(
        EHLO="250 peer.test", RCPT=["550 5.1.1 no", "250 ok"], RSET="500 what?"
    ) as peer:
        session = await open_session(target(peer), manners())
        await session.transact(mail())
        second = await session.transact(mail())

        assert isinstance(second.mail, Lost)
        assert not session.is_usable
        session.abort()


async def test_a_conversation_without_end_is_ended_and_nobody_else_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "TRANSACTION", timedelta(milliseconds=200))
    people = (InboundRecipient(n=0, address="bert@b.test"),)
    async with (
        Destinations(manners(), Limits()) as known,
        scripted(dot=HANG) as slow,
        scripted() as other,
    ):
        plan = Plan("b.test", (target(slow), target(other)))
        results = await Handover(known, plan, mail(), people).run(known.get("b.test"))

    assert isinstance(results[0].verdict, Later)
    assert other.connections == 0


async def test_no_server_is_begun_after_the_time_for_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "ASKING", timedelta(milliseconds=1))
    people = (InboundRecipient(n=0, address="bert@b.test"),)
    async with (
        Destinations(manners(replace(QUICK, greeting=0.1)), Limits()) as known,
        scripted(connect=HANG) as slow,
        scripted() as other,
    ):
        plan = Plan("b.test", (target(slow), target(other)))
        results = await Handover(known, plan, mail(), people).run(known.get("b.test"))

    assert isinstance(results[0].verdict, Later)
    assert other.connections == 0


async def test_a_server_that_takes_its_time_at_every_step_is_left_when_asking_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "ASKING", timedelta(milliseconds=300))
    people = (InboundRecipient(n=0, address="bert@b.test"),)
    async with (
        Destinations(manners(replace(QUICK, hello=30.0)), Limits()) as known,
        scripted(EHLO=HANG) as slow,
        asyncio.timeout(5),
    ):
        plan = Plan("b.test", (target(slow),))
        results = await Handover(known, plan, mail(), people).run(known.get("b.test"))
        await slow.quiet.wait()

    verdict = results[0].verdict
    assert isinstance(verdict, Later)
    assert "in time" in verdict.reply


async def test_a_slow_server_is_asked_for_no_more_recipients_after_the_time_for_asking() -> None:
    people = tuple(InboundRecipient(n=n, address=f"bert{n}@b.test") for n in range(3))
    shaping = Shaping(default=Shape(recipients=1))
    async with (
        Destinations(manners(), Limits(), shaping) as known,
        scripted() as slow,
        scripted() as other,
    ):
        plan = Plan("b.test", (target(slow), target(other)))
        handover = Handover(known, plan, mail(), people)

        async def end_asking() -> None:
            handover.until = 0.0

        slow.before["."] = end_asking
        results = await handover.run(known.get("b.test"))

    assert isinstance(results[0].verdict, Taken)
    assert [results[n].verdict for n in (1, 2)] == [room.TOO_SLOW] * 2
    assert other.connections == 0


async def test_a_no_of_one_server_is_not_final_while_another_was_not_asked() -> None:
    people = (InboundRecipient(n=0, address="bert@b.test"),)
    async with (
        Destinations(manners(), Limits()) as known,
        scripted(connect="521 no mail here") as first,
        scripted() as other,
    ):
        plan = Plan("b.test", (target(first), target(other)))
        handover = Handover(known, plan, mail(), people)

        async def end_asking() -> None:
            handover.until = 0.0

        first.before["connect"] = end_asking
        results = await handover.run(known.get("b.test"))

    assert results[0].verdict == room.TOO_SLOW
    assert other.connections == 0
