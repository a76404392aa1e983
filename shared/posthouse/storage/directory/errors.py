"""What a change of the directory may be refused for; API and CLI turn these into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_NAMED = 5  # addresses in one sentence


class DirectoryError(Exception):
    """The directory does not allow this change."""


class NoSuchEntry(DirectoryError):
    """What should be changed, or what it should belong to, is not there."""


class AlreadyThere(DirectoryError):
    """An entry of that name exists."""


class TooMany(DirectoryError):
    """There are as many of these as there may be."""


class StillInUse(DirectoryError):
    """Other entries depend on it."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """One address that two things would claim.

    Attributes:
        address: Which, in the form of `Address.key`; or a domain.
        reason: Who would get no mail, as the rest of a sentence that begins with the address.
    """

    address: str
    reason: str


class Shadowed(DirectoryError):
    """Somebody would get no mail by this change, and it was not forced.

    Attributes:
        shadows: All the addresses it would happen to.
    """

    def __init__(self, shadows: Sequence[Shadow]) -> None:
        named = [f"{one.address} {one.reason}" for one in shadows[:MAX_NAMED]]
        if len(shadows) > MAX_NAMED:
            named.append(f"and {len(shadows) - MAX_NAMED} more")
        super().__init__(f"{'; '.join(named)}. Force it if you mean that")
        self.shadows = tuple(shadows)
