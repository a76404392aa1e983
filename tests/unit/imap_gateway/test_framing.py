from __future__ import annotations

import pytest

from imap_gateway.protocol.framing import (
    MAX_EARLY_LITERAL_OCTETS,
    MAX_LINE_OCTETS,
    Event,
    Frame,
    Framer,
    GoAhead,
    Hopeless,
    TooLarge,
)

LIMIT = 100_000


def framed(octets: bytes, *, is_trusted: bool = True, step: int = 0) -> list[Event]:
    framer = Framer(LIMIT)
    framer.is_trusted = is_trusted
    events: list[Event] = []
    pieces = [octets[i : i + step] for i in range(0, len(octets), step)] if step else [octets]
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.frame()) is not None:
            events.append(event)
            if isinstance(event, Hopeless):
                return events
    return events


@pytest.mark.parametrize("step", [0, 1, 2, 7])
def test_commands_come_out_one_by_one_however_they_arrive(step: int) -> None:
    octets = b"a NOOP\r\nb LOGIN {3+}\r\nu\r\n {2+}\r\npw\r\nc NOOP\n"

    assert framed(octets, step=step) == [
        Frame(b"a NOOP"),
        Frame(b"b LOGIN {3+}\r\nu\r\n {2+}\r\npw"),
        Frame(b"c NOOP"),
    ]


def test_a_client_that_waits_is_told_to_go_ahead() -> None:
    framer = Framer(LIMIT)
    framer.feed(b"a LOGIN {1}\r\n")

    assert framer.frame() == GoAhead()
    assert framer.frame() is None

    framer.feed(b"u {2}\r\n")
    assert framer.frame() == GoAhead()

    framer.feed(b"pw\r\n")
    assert framer.frame() == Frame(b"a LOGIN {1}\r\nu {2}\r\npw")


def test_a_literal_keeps_the_line_end_it_ends_with() -> None:
    assert framed(b"a X {2+}\r\n\r\r\n") == [Frame(b"a X {2+}\r\n\r\r")]
    assert framed(b"a X {1+}\r\n\r\r\n") == [Frame(b"a X {1+}\r\n\r")]
    assert framed(b"a X {1+}\r\n\r\n") == [Frame(b"a X {1+}\r\n\r")]


def test_a_literal_of_nothing_is_one() -> None:
    assert framed(b"a X {0+}\r\n\r\n") == [Frame(b"a X {0+}\r\n")]


def test_before_login_a_literal_is_small() -> None:
    size = MAX_EARLY_LITERAL_OCTETS + 1

    assert framed(b"a LOGIN {%d}\r\nb NOOP\r\n" % size, is_trusted=False) == [
        TooLarge(b"a"),
        Frame(b"b NOOP"),
    ]
    assert framed(b"a LOGIN {%d+}\r\n" % size, is_trusted=False) == [Hopeless("Literal too large")]


def test_before_login_all_literals_together_are_small() -> None:
    half = MAX_EARLY_LITERAL_OCTETS // 2 + 1
    octets = b"a LOGIN {%d+}\r\n%s {%d}\r\n" % (half, b"x" * half, half)

    assert framed(octets, is_trusted=False) == [TooLarge(b"a")]


@pytest.mark.parametrize("step", [0, 1000])
def test_a_refused_literal_that_is_under_way_is_swallowed(step: int) -> None:
    size = 2 * LIMIT
    octets = b"a APPEND x {%d+}\r\n%s {2+}\r\nxx\r\nb NOOP\r\n" % (
        size,
        b"y\r\n" + b"x" * (size - 3),
    )

    assert framed(octets, step=step) == [TooLarge(b"a"), Frame(b"b NOOP")]


def test_a_refused_literal_that_is_huge_ends_it_all() -> None:
    assert framed(b"a APPEND x {99999999999+}\r\n") == [Hopeless("Literal too large")]


def test_only_an_appended_message_may_be_large() -> None:
    assert framed(b"a APPEND x {%d}\r\n" % LIMIT) == [GoAhead()]
    assert framed(b"a SEARCH TEXT {%d}\r\n" % LIMIT) == [TooLarge(b"a")]


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_an_endless_line_ends_it_all(end: bytes) -> None:
    assert framed(b"x" * (MAX_LINE_OCTETS + 1) + end) == [Hopeless("Command line too long")]


def test_lines_between_literals_count_together() -> None:
    octets = b"a X " + b"y" * 40_000 + b" {1+}\r\nz" + b"y" * 40_000 + b"\r\n"

    assert framed(octets) == [Hopeless("Command line too long")]


def test_a_line_can_be_asked_for_alone() -> None:
    framer = Framer(LIMIT)
    framer.feed(b"DONE\r\na NO")

    assert framer.line() == b"DONE"
    assert framer.line() is None
    assert framer.held == 4

    framer.feed(b"x" * MAX_LINE_OCTETS)
    assert framer.line() == Hopeless("Line too long")


def test_reading_stops_when_more_than_a_command_is_held() -> None:
    framer = Framer(LIMIT)

    framer.feed(b"a NOOP\r\n" * 10)
    assert not framer.is_full

    framer.feed(b"a NOOP\r\n" * 20_000)
    assert framer.is_full
