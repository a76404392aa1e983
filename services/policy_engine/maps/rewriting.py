"""Rewriting senders and recipients: canonical maps, masquerading, generic maps. Pure.

    sender      sender-canonical, canonical, masquerade   each once; generic on the way out
    recipient   recipient-canonical, canonical            each once

An address that a map makes no address of stays as it is. The null path stays null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_engine.maps.looking import Maps
from policy_engine.places import Known, keys_of
from posthouse.mail.address import Address
from posthouse.mail.maps import Entry, Kind, changed

SENDER: tuple[Kind, ...] = ("sender-canonical", "canonical", "masquerade")
RECIPIENT: tuple[Kind, ...] = ("recipient-canonical", "canonical")
OUTSIDE: tuple[Kind, ...] = ("generic",)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What became of an address.

    Attributes:
        address: It.
        by: The entries, in their order.
        missing: What must be known before; if there is any, the rest is not final.
    """

    address: Address
    by: tuple[Entry, ...] = ()
    missing: tuple[str, ...] = ()


def rewritten(address: Address, kinds: Sequence[Kind], maps: Maps, known: Known) -> Rewritten:
    """Send ``address`` through the maps of ``kinds``, each once."""
    by: tuple[Entry, ...] = ()
    for kind in kinds:
        if kind not in maps.kinds:
            continue
        unknown = [key for key in (*keys_of(address), *maps.keys(address)) if key not in known]
        if unknown:
            return Rewritten(address, by, tuple(unknown))
        after, entry = _once(address, kind, maps, known)
        if entry is not None:
            address, by = after, (*by, entry)
    return Rewritten(address, by)


def _once(address: Address, kind: Kind, maps: Maps, known: Known) -> tuple[Address, Entry | None]:
    match = maps.find(kind, address, known)
    if match is None:
        return address, None
    if kind == "masquerade":
        if address.local.lower() in match.targets:
            return address, None
        after = changed(address, f"@{match.entry.key[2:]}")
    else:
        after = changed(address, match.targets[0], match.detail)
    if after is None or after == address:
        return address, None
    return after, match.entry
