"""Questions and answers over real sockets: in time, or told so."""

import asyncio
import contextlib
import struct
import time
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from posthouse.bus import answering, ask
from posthouse.bus.answering import MAX_OPEN_OCTETS
from posthouse.bus.ask import Asker, serve_questions
from posthouse.bus.frames import MAX_PAYLOAD_OCTETS
from posthouse.mail.errors import Unavailable
from support.questions import (
    SOON,
    Double,
    Doubled,
    Name,
    Question,
    answerer,
    asking,
    free_port,
    port_of,
    until_both_answer,
)
from support.roads import until

pytestmark = pytest.mark.integration


async def test_many_questions_at_once_get_each_its_own_answer() -> None:
    async with (
        serve_questions("127.0.0.1", 0, Question, answerer("a")) as server,
        asking(port_of(server)) as asker,
    ):
        answers = await asyncio.gather(*(asker.ask(Double(n)) for n in range(1000)))

    assert [answer.n for answer in answers] == [2 * n for n in range(1000)]


async def test_questions_of_other_kinds_are_told_apart() -> None:
    async with (
        serve_questions("127.0.0.1", 0, Question, answerer("a")) as server,
        asking(port_of(server)) as asker,
    ):
        assert await asker.ask(Name()) == Doubled(n=0, by="a")


async def test_questions_go_round_the_answerers() -> None:
    async with (
        serve_questions("127.0.0.1", 0, Question, answerer("a")) as first,
        serve_questions("127.0.0.1", 0, Question, answerer("b")) as second,
        asking(port_of(first), port_of(second)) as asker,
    ):
        await until_both_answer(asker)
        said = [(await asker.ask(Double(n))).by for n in range(10)]

    assert (said.count("a"), said.count("b")) == (5, 5)


async def test_a_name_stands_for_all_its_addresses() -> None:
    async def two(host: str, port: int) -> list[tuple[str, int]]:
        assert host == "policy.example.test"
        return [("127.0.0.2", port), ("127.0.0.3", port)]

    port = free_port()
    async with (
        serve_questions("127.0.0.2", port, Question, answerer("a")),
        serve_questions("127.0.0.3", port, Question, answerer("b")),
        Asker([f"policy.example.test:{port}"], SOON, Doubled, two) as asker,
    ):
        await until_both_answer(asker)


async def test_a_name_that_is_not_resolved_now_is_looked_up_again() -> None:
    attempts = 0

    async def later(_host: str, port: int) -> list[tuple[str, int]]:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise OSError("no such host")
        return [("127.0.0.1", port)]

    async with (
        serve_questions("127.0.0.1", 0, Question, answerer("a")) as server,
        Asker([f"policy.example.test:{port_of(server)}"], SOON, Doubled, later) as asker,
    ):
        assert (await asker.ask(Double(1))).by == "a"


async def test_one_that_dies_is_replaced_by_the_other_within_the_question() -> None:
    killed = 0

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal killed
        await reader.read(1)
        killed += 1
        writer.transport.abort()

    async with (
        await asyncio.start_server(die, "127.0.0.1", 0) as dying,
        serve_questions("127.0.0.1", 0, Question, answerer("b")) as second,
        asking(port_of(dying), port_of(second)) as asker,
    ):
        answers: list[Doubled] = []
        while killed < 3:
            answers.append(await asker.ask(Double(len(answers))))

    assert [answer.n for answer in answers] == [2 * n for n in range(len(answers))]
    assert {answer.by for answer in answers} == {"b"}


async def test_an_answerer_that_comes_back_is_asked_again() -> None:
    port = free_port()
    async with asking(port) as asker:
        async with serve_questions("127.0.0.1", port, Question, answerer("first")):
            assert (await asker.ask(Double(1))).by == "first"
        async with serve_questions("127.0.0.1", port, Question, answerer("second")):
            assert (await asker.ask(Double(1))).by == "second"


async def test_nobody_there_is_told_at_the_deadline() -> None:
    async with asking(free_port(), deadline=timedelta(milliseconds=300)) as asker:
        begun = time.monotonic()

        with pytest.raises(Unavailable):
            await asker.ask(Double(1))

        assert 0.25 < time.monotonic() - begun < 3
        assert asker.trouble() == "nobody answers questions"


async def test_a_silent_answerer_is_hung_up_on_at_the_deadline() -> None:
    hung_up = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        hung_up.set()
        writer.close()

    async with (
        await asyncio.start_server(hang, "127.0.0.1", 0) as silent,
        asking(port_of(silent), deadline=timedelta(milliseconds=300)) as asker,
    ):
        with pytest.raises(Unavailable, match="deadline"):
            await asker.ask(Double(1))
        await asyncio.wait_for(hung_up.wait(), 5)


async def test_a_handler_with_a_bug_gives_no_answer_and_spoils_nothing() -> None:
    async def choke(question: Question) -> Doubled:
        if isinstance(question, Name):
            raise LookupError("a bug")  # noqa: TRY004 - any bug will do
        return Doubled(n=question.n)

    async with (
        serve_questions("127.0.0.1", 0, Question, choke) as server,
        asking(port_of(server)) as asker,
    ):
        with pytest.raises(Unavailable, match="could not answer"):
            await asker.ask(Name())
        assert (await asker.ask(Double(4))).n == 4


async def test_a_question_that_is_too_large_is_refused_here() -> None:
    async with (
        serve_questions("127.0.0.1", 0, Question, answerer("a")) as server,
        asking(port_of(server)) as asker,
    ):
        with pytest.raises(Unavailable, match="octets"):
            await asker.ask(Double(1, padding=bytes(MAX_PAYLOAD_OCTETS)))
        assert (await asker.ask(Double(1, padding=bytes(500_000)))).n == 2


async def test_large_questions_are_not_read_before_their_turn() -> None:
    octets, asked = 1_000_000, 40
    entered, most, may_go = 0, 0, asyncio.Event()

    async def slow(_: Question) -> Doubled:
        nonlocal entered, most
        entered += 1
        most = max(most, entered)
        await may_go.wait()
        entered -= 1
        return Doubled(n=1)

    async with (
        serve_questions("127.0.0.1", 0, Question, slow) as server,
        asking(port_of(server), deadline=timedelta(seconds=30)) as asker,
    ):
        work = [
            asyncio.ensure_future(asker.ask(Double(1, padding=bytes(octets)))) for _ in range(asked)
        ]
        await until(lambda: entered * octets > MAX_OPEN_OCTETS - octets, "it is full")
        may_go.set()

        assert [each.n for each in await asyncio.gather(*work)] == [1] * asked
    assert most * octets < MAX_OPEN_OCTETS + 2 * octets


async def test_large_questions_of_all_askers_wait_and_small_ones_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answering, "MAX_ALL_OCTETS", 4_000_000)
    octets, askers, each = 1_000_000, 3, 10
    entered, most, may_go = 0, 0, asyncio.Event()

    async def slow(question: Question) -> Doubled:
        nonlocal entered, most
        if isinstance(question, Double) and question.padding:
            entered += 1
            most = max(most, entered)
            await may_go.wait()
            entered -= 1
        return Doubled(n=1)

    async with serve_questions("127.0.0.1", 0, Question, slow) as server, AsyncExitStack() as stack:
        many = [
            await stack.enter_async_context(asking(port_of(server), deadline=timedelta(seconds=30)))
            for _ in range(askers + 1)
        ]
        work = [
            asyncio.ensure_future(asker.ask(Double(1, padding=bytes(octets))))
            for asker in many[1:]
            for _ in range(each)
        ]
        await until(lambda: entered >= 4, "it is full")
        assert (await many[0].ask(Double(1))).n == 1
        may_go.set()

        assert len(await asyncio.gather(*work)) == askers * each
    assert most <= 4 + 2 * askers  # what each has begun to send is read


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!IIB", 0xFFFF_FFFF, 1, 2),
        struct.pack("!IIB", 1, 1, 0),
    ],
)
async def test_strangers_are_hung_up_on(octets: bytes) -> None:
    async with serve_questions("127.0.0.1", 0, Question, answerer("a")) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(octets)

        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()


async def test_an_unreadable_question_is_refused_alone() -> None:
    async with serve_questions("127.0.0.1", 0, Question, answerer("a")) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(struct.pack("!IIB", 2, 77, 2) + b"\xc1")

        assert await reader.readexactly(9) == struct.pack("!IIB", 1, 77, 1)
        writer.close()
        await writer.wait_closed()


async def test_no_more_questions_are_read_than_can_be_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answering, "MAX_OPEN", 10)
    gate, running, most = asyncio.Event(), 0, 0

    async def slowly(_question: Question) -> Doubled:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return Doubled(n=0)

    async with (
        serve_questions("127.0.0.1", 0, Question, slowly) as server,
        asking(port_of(server)) as asker,
    ):
        big = Double(1, padding=bytes(200_000))  # so that they arrive in several reads
        asked = [asyncio.create_task(asker.ask(big)) for _ in range(50)]
        await until(lambda: running >= 10, "reading had stopped")
        gate.set()
        await asyncio.gather(*asked)

    assert most < 20


async def test_more_questions_than_may_wait_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ask, "MAX_OPEN", 3)
    async with asking(free_port(), deadline=timedelta(seconds=1)) as asker:
        waiting = [asyncio.create_task(asker.ask(Double(1))) for _ in range(3)]
        await asyncio.sleep(0)
        begun = time.monotonic()

        with pytest.raises(Unavailable, match="too many"):
            await asker.ask(Double(1))

        assert time.monotonic() - begun < 0.5
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_was_asked_is_answered_before_the_answerer_ends() -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def slowly(_question: Question) -> Doubled:
        begun.set()
        await gate.wait()
        return Doubled(n=42)

    async with asking(port := free_port()) as asker:
        async with serve_questions("127.0.0.1", port, Question, slowly):
            asked = asyncio.create_task(asker.ask(Double(1)))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.1, gate.set)
        assert (await asked).n == 42
