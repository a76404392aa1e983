"""Frames of questions and answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.bus.ask import parse_endpoint
from posthouse.bus.frames import (
    ANSWER,
    HEADER,
    MAX_PAYLOAD_OCTETS,
    QUESTION,
    BadFrame,
    Frame,
    Unpacker,
    pack,
)

FRAMES = st.builds(
    Frame, st.integers(0, 0xFFFF_FFFF), st.sampled_from([ANSWER, QUESTION]), st.binary(max_size=50)
)


@given(st.lists(FRAMES, max_size=5), st.data())
def test_however_the_stream_is_cut_the_frames_come_out(
    frames: list[Frame], data: st.DataObject
) -> None:
    stream = b"".join(map(pack, frames))
    unpacker, found = Unpacker(), []

    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += unpacker.feed(stream[:size])
        stream = stream[size:]

    assert found == frames


def test_a_payload_above_the_limit_is_not_packed() -> None:
    assert pack(Frame(1, ANSWER, bytes(MAX_PAYLOAD_OCTETS)))
    with pytest.raises(BadFrame):
        pack(Frame(1, ANSWER, bytes(MAX_PAYLOAD_OCTETS + 1)))


@pytest.mark.parametrize(
    "header",
    [
        HEADER.pack(0, 1, ANSWER),
        HEADER.pack(MAX_PAYLOAD_OCTETS + 2, 1, ANSWER),
        HEADER.pack(5, 1, 9),
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",  # a TLS ClientHello
    ],
)
def test_a_stream_of_something_else_is_refused_before_it_is_buffered(header: bytes) -> None:
    with pytest.raises(BadFrame):
        Unpacker().feed(header)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("policy:4025", ("policy", 4025)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        (" [::1]:4025 ", ("::1", 4025)),
    ],
)
def test_an_endpoint_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_endpoint(text) == address


@pytest.mark.parametrize("text", ["", "policy", ":25", "policy:", "policy:http", "policy:-1"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not host:port"):
        parse_endpoint(text)
