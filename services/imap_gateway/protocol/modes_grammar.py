"""The grammar of COMPRESS (RFC 4978 §5) and UNAUTHENTICATE (RFC 8437 §6)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol.commands import Command
from imap_gateway.protocol.cursor import Cursor
from imap_gateway.protocol.modes import Compress, Unauthenticate
from imap_gateway.protocol.rules import Rule, bare


def _compress(cursor: Cursor) -> Command:
    cursor.space()
    return Compress(cursor.atom().upper())


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "COMPRESS": _compress,
        "UNAUTHENTICATE": bare(Unauthenticate()),
    }
)
