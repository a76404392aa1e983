"""Whether a message is held until an operator has looked at it: by its sender, by a recipient. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from policy_engine.maps.looking import Maps
from policy_engine.places import Known, keys_of
from posthouse.mail.address import Address
from posthouse.mail.maps import NULL_SENDER, Kind


def reason_to_hold(
    sender: Address | None, recipients: Sequence[Address], maps: Maps, known: Known
) -> tuple[str, frozenset[str]]:
    """Return why a message is held, empty if it is not, and what must be known before."""
    missing: set[str] = set()
    if "hold-sender" in maps.kinds and sender is None:
        if NULL_SENDER not in known:
            return "", frozenset({NULL_SENDER})
        said = known[NULL_SENDER].maps.get("hold-sender")
        if said:
            return said[0], frozenset()
    asked: list[tuple[Kind, Address]] = [("hold-sender", sender)] if sender else []
    asked += [("hold-recipient", each) for each in recipients]
    for kind, address in asked:
        if kind not in maps.kinds:
            continue
        unknown = {key for key in (*keys_of(address), *maps.keys(address)) if key not in known}
        missing |= unknown
        match = None if unknown else maps.find(kind, address, known)
        if match is not None:
            return match.targets[0], frozenset(missing)
    return "", frozenset(missing)
