"""What goes to a worker process and what comes back: msgpack behind its length in four octets.

Some jobs go together, and what is made of them comes back together, in the same order.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from posthouse.mime.indexed import HeaderText

LENGTH: Final = struct.Struct(">I")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One message.

    Attributes:
        account: Whose.
        content: Its number.
        header: Its header.
        parts: Its packed parts.
        octets: All of it; empty if only the header is looked at.
        with_documents: Attachments that are documents are read, too.
    """

    account: int
    content: int
    header: bytes
    parts: bytes
    octets: bytes
    with_documents: bool = False


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker made of a job.

    Attributes:
        header: Folded, with sort values.
        body: Folded text of the parts.
        keys: Of the grams; None if they are too many.
    """

    header: HeaderText
    body: str
    keys: list[int] | None


def packed(values: Sequence[Job] | Sequence[Made]) -> bytes:
    """Return the octets of values that go together, their length before them."""
    octets = msgspec.msgpack.encode(values)
    return LENGTH.pack(len(octets)) + octets
