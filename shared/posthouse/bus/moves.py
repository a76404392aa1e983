"""Moves: what a handler decides about one envelope; the consumer alone carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from posthouse.mail.envelope import Envelope

# How a bug of ours is waited out before a human must look (promise 6).
BUG_WAITS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=5),
)


@dataclass(frozen=True, slots=True)
class Ack:
    """The work is done and committed."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back later.

    Attributes:
        delay: How long; the longest wait queue that is not longer is taken.
        envelope: What comes back; None for the same envelope unchanged.
    """

    delay: timedelta
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True)
class Bury:
    """A human must look.

    Attributes:
        reason: Why, in words.
    """

    reason: str


Move: TypeAlias = Ack | Wait | Bury


def patience_after(failures: int) -> timedelta | None:
    """Return the wait after failure number ``failures`` (1 = first), None to give up."""
    return BUG_WAITS[failures - 1] if failures <= len(BUG_WAITS) else None
