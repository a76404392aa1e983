"""Framing: where a line ends, where a message ends, and what is no end."""

from __future__ import annotations

import pytest

from ingress_smtp import replies
from ingress_smtp.framing import BadLine, Content, skip_line, take_line


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
    content = Content(100)

    assert content.feed(b"hello\r\n.") is None
    assert content.feed(b"\r\nQUIT\r\n") == 6
    assert content.message() == b"hello\r\n"


def test_a_refused_message_is_not_kept_but_its_end_is_seen() -> None:
    content = Content(10)
    for _ in range(1000):
        assert content.feed(b"x" * 100) is None
        assert len(content.octets) <= 115

    assert content.refusal is replies.TOO_LARGE
    assert content.feed(b"\r\n") is None
    assert content.feed(b".") is None
    assert content.feed(b"\r\nQUIT") == 4


def test_the_first_reason_is_the_one_that_is_told() -> None:
    content = Content(10)
    content.refuse(replies.NO_MEMORY)
    content.feed(b"x" * 100)

    assert content.refusal is replies.NO_MEMORY


def test_the_limit_counts_the_message_and_neither_its_end_nor_doubled_dots() -> None:
    content = Content(9)
    assert content.feed(b"..\r\n..\r\n..\r\n.\r\n") == 0
    assert content.refusal is None
    assert content.message() == b".\r\n" * 3
