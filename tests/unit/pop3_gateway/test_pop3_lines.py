"""Lines of a client: how they are cut, and how long they are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop3_gateway.connection import LINGER, Connection, Gone, LineTooLong

LIMIT = 100
PATIENCE = 60.0


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time goes on when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def after(self, seconds: float) -> None:
        """Let time pass, and happen what is due then."""
        self.now += seconds
        for _ in range(5):
            self.call_soon(lambda: None)
            self.run_once()

    def run_once(self) -> None:
        self.call_soon(self.stop)
        self.run_forever()


class Wire(asyncio.Transport):
    """A client that says what the test does, and takes nothing."""

    is_aborted = False

    def resume_reading(self) -> None:
        """Nothing was paused."""

    def close(self) -> None:
        """What was written is not taken yet."""

    def abort(self) -> None:
        self.is_aborted = True


@contextmanager
def connected(
    wire: Wire | None = None,
) -> Iterator[tuple[Clock, Connection, Callable[[], asyncio.Task[bytes]]]]:
    clock = Clock()

    async def opened() -> Connection:
        connection = Connection(lambda _: None)
        connection.connection_made(wire or Wire())
        return connection

    connection = clock.run_until_complete(opened())

    def read() -> asyncio.Task[bytes]:
        task = clock.create_task(connection.read_line(LIMIT, PATIENCE))
        clock.after(0)
        return task

    yield clock, connection, read
    connection.connection_lost(None)
    clock.run_once()
    clock.close()


def test_each_line_has_its_own_time() -> None:
    with connected() as (clock, connection, read):
        for _ in range(3):
            line = read()
            clock.after(0.7 * PATIENCE)
            assert not line.done()
            connection.data_received(b"NOOP\r\n")
            clock.after(0)
            assert line.result() == b"NOOP"

        line = read()
        clock.after(PATIENCE - 0.1)
        assert not line.done()
        clock.after(0.2)
        with pytest.raises(TimeoutError):
            line.result()


def test_octets_that_are_no_line_win_no_time() -> None:
    with connected() as (clock, connection, read):
        line = read()
        for octet in b"NO":
            clock.after(0.4 * PATIENCE)
            connection.data_received(bytes([octet]))
            clock.after(0)
            assert not line.done()
        clock.after(0.3 * PATIENCE)
        with pytest.raises(TimeoutError):
            line.result()


def test_who_is_to_hurry_has_less_time_and_never_more() -> None:
    with connected() as (clock, connection, read):
        line = read()
        clock.after(1)
        connection.hurry(5)
        connection.hurry(50)
        clock.after(4.9)
        assert not line.done()
        clock.after(0.2)
        with pytest.raises(TimeoutError):
            line.result()


def test_a_client_that_goes_is_not_waited_for() -> None:
    with connected() as (clock, connection, read):
        line = read()
        connection.connection_lost(None)
        clock.after(0)
        with pytest.raises(Gone):
            line.result()


@pytest.mark.parametrize("goes", [True, False])
def test_who_does_not_take_our_last_words_is_cut_off(*, goes: bool) -> None:
    wire = Wire()
    with connected(wire) as (clock, connection, _):
        connection.close()
        clock.after(LINGER.total_seconds() - 1)
        assert not wire.is_aborted
        if goes:
            connection.connection_lost(None)
        clock.after(2)
        assert wire.is_aborted is not goes


OCTETS = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b"NOOP", b"x" * LIMIT, b"x" * (LIMIT - 1)]), max_size=12
).map(b"".join)


def _heard(portions: list[bytes]) -> list[bytes | None]:
    """Return the lines of what comes in ``portions``, None for one that is too long."""
    lines: list[bytes | None] = []
    with connected() as (clock, connection, read):
        line = read()
        for portion in portions:
            connection.data_received(portion)
            clock.after(0)
            while line.done():
                lines.append(None if type(line.exception()) is LineTooLong else line.result())
                line = read()
        line.cancel()
        clock.after(0)
    return lines


@given(octets=OCTETS, cuts=st.lists(st.integers(0, 1000), max_size=6))
def test_how_octets_are_cut_changes_no_line(octets: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})

    lines = _heard([octets[start:end] for start, end in pairwise(places)])

    assert lines == [
        line.removesuffix(b"\r") if len(line) <= LIMIT else None
        for line in octets.split(b"\n")[:-1]
    ]
