"""Where we are on the way from a recipient to where it leads. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policy_engine.places import Place
from posthouse.mail.address import Address
from posthouse.mail.maps import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where we are on the way from a recipient.

    Attributes:
        path: The keys that were passed.
        domain: Of the last address passed, one of ours; empty at the beginning.
        owner: Of the innermost group passed.
        mapped: The addresses that the map virtual has replaced.
        trail: All that was passed, in its order, in words.
    """

    path: tuple[str, ...] = ()
    domain: str = ""
    owner: str | None = None
    mapped: tuple[str, ...] = ()
    trail: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """How far we have come."""
        return len(self.path) + len(self.mapped)

    @property
    def began(self) -> str:
        """The first address that was passed."""
        return (*self.path, *self.mapped)[0]

    def beyond(self, place: Place, what: str, owner: str | None = None) -> Step:
        """Return the step behind ``place``, which was passed as ``what``."""
        return replace(
            self,
            path=(*self.path, place.key),
            domain=place.key.rpartition("@")[2],
            owner=owner or self.owner,
            trail=(*self.trail, f"{what} {place.key}"),
        )

    def beyond_map(self, address: Address, entry: Entry, *, is_ours: bool) -> Step:
        """Return the step behind ``address``, which ``entry`` has replaced."""
        return replace(
            self,
            mapped=(*self.mapped, address.key),
            domain=address.domain if is_ours else self.domain,
            trail=(*self.trail, f"{entry.kind} {entry.key}"),
        )
