"""What goes over the wire after DATA."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_remote.transparency import DotStuffer, without_return_path


def _sent(*pieces: bytes) -> bytes:
    stuffer = DotStuffer()
    return b"".join(map(stuffer.feed, pieces)) + stuffer.finish()


def _received(wire: bytes) -> bytes:
    """What a server keeps: up to the first lone dot, doubled dots halved (RFC 5321 §4.5.2)."""
    at = (b"\r\n" + wire).index(b"\r\n.\r\n")
    assert at + 5 == len(wire) + 2, "the message ends before its end"
    return re.sub(rb"(?m)^\.", b"", wire[:-3])


@pytest.mark.parametrize(
    ("octets", "wire"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n..b\r\n", b"a\r\n...b\r\n.\r\n"),
        (b"a.b\r\n", b"a.b\r\n.\r\n"),
    ],
)
def test_dots_are_doubled_at_the_start_of_lines_only(octets: bytes, wire: bytes) -> None:
    assert _sent(octets) == wire


@pytest.mark.parametrize(
    "octets", [b"a\n.\nb\r\n", b"a\r.\rb\r\n", b"a\n.\r\nb\r\n", b"a\r\n.\nb", b"a\r\r\n.\r\n"]
)
def test_no_bare_line_end_can_smuggle_a_second_message(octets: bytes) -> None:
    wire = _sent(octets)

    assert wire.count(b"\r\n.\r\n") == 1
    assert wire.replace(b"\r\n", b"").count(b"\r") == wire.replace(b"\r\n", b"").count(b"\n") == 0


@given(st.lists(st.sampled_from([b"a", b".", b"\r\n", b"\r", b"\n", b"\r\n."]), max_size=40))
def test_any_division_into_pieces_gives_the_same_octets(pieces: list[bytes]) -> None:
    assert _sent(*pieces) == _sent(b"".join(pieces))


@given(st.lists(st.sampled_from([b"a", b".", b"\r\n", b"\r\n.", b"\x80"]), max_size=40))
def test_what_is_sent_is_what_is_received(pieces: list[bytes]) -> None:
    octets = b"".join(pieces)
    whole = octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"

    assert _received(_sent(*pieces)) == whole


def test_return_path_is_left_out_and_nothing_else() -> None:
    octets = b"Received: x\r\nRETURN-Path:\r\n <a@b>\r\nX: y\r\n\r\nReturn-Path: body\r\n"

    assert without_return_path(octets) == b"Received: x\r\nX: y\r\n\r\nReturn-Path: body\r\n"


@given(st.binary(max_size=200))
def test_a_message_without_return_path_stays_as_it_is(octets: bytes) -> None:
    assert without_return_path(b"A: b\r\n\r\n" + octets) == b"A: b\r\n\r\n" + octets
