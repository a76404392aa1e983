"""What a client compresses may be a thousand times as much, and must not hold others up (RFC 4978)."""

from __future__ import annotations

import zlib
from types import SimpleNamespace
from typing import cast

from imap_gateway.house import House, Limits
from imap_gateway.memory.budget import Budget
from imap_gateway.protocol.framing import TooLarge
from imap_gateway.wire.compression import PORTION_OCTETS
from imap_gateway.wire.inlet import PORTIONS_AT_ONCE, Inlet, Swallowed
from imap_gateway.wire.outlet import Outlet

MIB = 1024 * 1024


def test_a_bomb_that_is_thrown_away_goes_off_in_small_parts() -> None:
    house = SimpleNamespace(limits=Limits(message_octets=20 * MIB), budget=Budget(), spool=None)
    inlet = Inlet(cast("House", house), Outlet())
    inlet.trust(None, on=True)
    inlet.begin_inflating()
    line = b"a APPEND INBOX {%d+}\r\n" % (40 * MIB) + bytes(40 * MIB) + b"\r\n"
    engine = zlib.compressobj(wbits=-15)
    inlet.feed(engine.compress(line) + engine.flush(zlib.Z_SYNC_FLUSH))

    turns = 0
    while isinstance(event := inlet.frame(), Swallowed):
        turns += 1
    assert event == TooLarge(b"a")
    assert turns == len(line) // (PORTIONS_AT_ONCE * PORTION_OCTETS)
    assert inlet.frame() is None
