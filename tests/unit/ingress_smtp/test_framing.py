"""Framing: where a line ends, where a message ends, and what is no end."""

from __future__ import annotations

import pytest

from ingress_smtp import replies
from ingress_smtp.framing import BadLine, Dots, skip_line, take_line


def test_a_line_is_taken_without_its_end() -> None:
    buffer = bytearray(b"NOOP\r\nQUIT\r\nNO")

    assert take_line(buffer) == b"NOOP"
    assert take_line(buffer) == b"QUIT"
    assert take_line(buffer) is None
    assert buffer == b"NO"


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"NOOP\n", replies.BARE_LINE_END),
        (b"\n", replies.BARE_LINE_END),
        (b"NO\rOP\r\n", replies.BARE_LINE_END),
        (b"NOOP\r\r\n", replies.BARE_LINE_END),
        (b"NO\0OP\r\n", replies.UNKNOWN_COMMAND),
        (b"x" * 99 + b"\r\n", replies.LINE_TOO_LONG),
    ],
)
def test_a_bad_line_is_taken_off_and_named(octets: bytes, reply: replies.Reply) -> None:
    buffer = bytearray(octets + b"QUIT\r\n")

    with pytest.raises(BadLine) as bad:
        take_line(buffer, 100)

    assert bad.value.reply is reply
    assert buffer == b"QUIT\r\n"


def test_a_line_of_just_the_limit_is_taken() -> None:
    assert take_line(bytearray(b"x" * 98 + b"\r\n"), 100) == b"x" * 98


def test_an_endless_line_is_thrown_away_up_to_its_end() -> None:
    buffer = bytearray(b"x" * 5000)
    assert not skip_line(buffer)
    assert not buffer

    buffer += b"xx\r\nQUIT\r\n"
    assert skip_line(buffer)
    assert buffer == b"QUIT\r\n"


def test_what_stands_behind_the_end_is_told() -> None:
    dots = Dots()

    assert dots.feed(b"hello\r\n.") == (b"hello", None)
    assert dots.feed(b"\r\nQUIT\r\n") == (b"\r\n", 6)


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..\r\n..\r\n..\r\n.\r\n", b".\r\n.\r\n.\r\n"),
        (b"\r\r\n.\r\n", b"\r\r\n"),
        (b"\n.\n\r\n.\r\n", b"\n.\n\r\n"),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_doubled_dots_are_single_again(sent: bytes, content: bytes, step: int) -> None:
    dots, found, behind = Dots(), b"", None
    for at in range(0, len(sent), step):
        part, behind = dots.feed(sent[at : at + step])
        found += part

    assert (found, behind) == (content, 0)
