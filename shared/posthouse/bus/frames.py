"""Frames of questions and answers: length, number, kind, then msgpack.

::

    0        4        8       9
    | octets | number | kind  | payload ... |     big endian; octets counts kind and payload
"""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = struct.Struct("!IIB")
MAX_PAYLOAD_OCTETS = 6_291_456  # the largest header that can be allowed, and more of a message
MAX_NUMBER = 0xFFFF_FFFF

ANSWER = 0
FAILED = 1  # the other side could not answer; its log says why
QUESTION = 2


class Frame(NamedTuple):
    """One frame.

    Attributes:
        number: Joins an answer to its question; unique among those that are open.
        kind: `QUESTION`, `ANSWER` or `FAILED`.
        payload: The struct in msgpack.
    """

    number: int
    kind: int
    payload: bytes


class BadFrame(Exception):
    """The stream carries no frames of ours, or too large ones; it is closed."""


def pack(frame: Frame) -> bytes:
    """Return ``frame`` as it goes over the wire.

    Raises:
        BadFrame: If the payload is too large.
    """
    if len(frame.payload) > MAX_PAYLOAD_OCTETS:
        raise BadFrame(f"payload of {len(frame.payload)} octets")
    return HEADER.pack(len(frame.payload) + 1, frame.number, frame.kind) + frame.payload


class Unpacker:
    """Cuts a stream into frames; holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> list[Frame]:
        """Return the frames that ``octets`` complete.

        Raises:
            BadFrame: If a frame is too large, empty or of no known kind.
        """
        self._buffer += octets
        frames: list[Frame] = []
        at = 0
        while len(self._buffer) - at >= HEADER.size:
            length, number, kind = HEADER.unpack_from(self._buffer, at)
            if not 1 <= length <= MAX_PAYLOAD_OCTETS + 1 or kind > QUESTION:
                raise BadFrame(f"frame of {length} octets, kind {kind}")
            end = at + HEADER.size + length - 1
            if len(self._buffer) < end:
                break
            frames.append(Frame(number, kind, bytes(self._buffer[at + HEADER.size : end])))
            at = end
        del self._buffer[:at]
        return frames
