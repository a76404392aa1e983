"""Commands that change how a connection speaks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Compress:
    """RFC 4978 §3; the name in upper case."""

    algorithm: bytes


@dataclass(frozen=True, slots=True)
class Unauthenticate:
    """RFC 8437 §3."""
