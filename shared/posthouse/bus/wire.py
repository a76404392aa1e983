"""Envelopes as they go over the wire: JSON of tagged msgspec structs, one line each.

A message on a road that is quickly worked off carries several (decision 0011).

An old station reads a new envelope and a new station an old one (unknown fields are skipped, new
ones have defaults); an unknown tag, or one that does not belong on this road, is `BadEnvelope`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from posthouse.bus.topology import BUNDLED_ROADS, KIND_ON
from posthouse.mail.envelope import Envelope, MailboxChanged
from posthouse.mail.errors import BadEnvelope

BUNDLE_MAX = 20  # envelopes in one message
BUNDLE_OCTETS = 64 * 1024  # one that is larger travels alone


class _Heading(msgspec.Struct, frozen=True):
    """What is read of an envelope while it waits."""

    domain: str = ""
    sender: str = ""


_encoder = msgspec.json.Encoder()
_any_envelope = msgspec.json.Decoder(Envelope)
_on_road = {road: msgspec.json.Decoder(kind) for road, kind in KIND_ON.items()}
_heading = msgspec.json.Decoder(_Heading)
_notices = msgspec.json.Decoder(tuple[MailboxChanged, ...])


def encode(envelope: Envelope) -> bytes:
    """Return the octets that `decode` reads."""
    return _encoder.encode(envelope)


def bundled(road: str, envelopes: Iterable[Envelope]) -> list[bytes]:
    """Return the bodies of the messages that carry ``envelopes`` on ``road``, in their order."""
    lines = map(encode, envelopes)
    if road not in BUNDLED_ROADS:
        return list(lines)
    bundles: list[list[bytes]] = []
    room = 0
    for line in lines:
        if len(line) + 1 > room or len(bundles[-1]) == BUNDLE_MAX:
            bundles.append([])
            room = BUNDLE_OCTETS
        bundles[-1].append(line)
        room -= len(line) + 1
    return [b"\n".join(bundle) for bundle in bundles]


def unbundled(body: bytes) -> tuple[bytes, ...]:
    """Return the lines of a message, for `decode`: one at least.

    What has more than a bundle can have is no bundle, and stays in one piece.
    """
    lines = tuple(body.split(b"\n", BUNDLE_MAX))
    return lines if len(lines) <= BUNDLE_MAX else (body,)


def decode(octets: bytes, road: str | None = None) -> Envelope:
    """Return the envelope in ``octets``.

    Args:
        octets: One line of a message.
        road: Where it was found: only the kind that belongs there is taken; None takes any.

    Raises:
        BadEnvelope: If it is none.
    """
    decoder = _any_envelope if road is None else _on_road[road]
    try:
        envelope = cast(Envelope, decoder.decode(octets))
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: octets that are no UTF-8
        raise BadEnvelope("unreadable envelope", detail=f"unreadable envelope: {error}") from error
    if not envelope.recipients:
        raise BadEnvelope("envelope without recipients")
    return envelope


def heading(octets: bytes) -> tuple[str, str]:
    """Return the domain and the sender of the envelope in ``octets``; empty where it has none."""
    try:
        found = _heading.decode(octets)
    except (msgspec.DecodeError, ValueError):  # whoever decodes it says so
        return "", ""
    return found.domain, found.sender


def encode_notices(changes: Sequence[MailboxChanged]) -> bytes:
    """Return the octets that `decode_notices` reads; many notices travel together."""
    return _encoder.encode(changes)


def decode_notices(octets: bytes) -> tuple[MailboxChanged, ...]:
    """Return the notices in ``octets``.

    Raises:
        BadEnvelope: If they are none.
    """
    try:
        return _notices.decode(octets)
    except (msgspec.DecodeError, ValueError) as error:
        raise BadEnvelope("unreadable notice", detail=f"unreadable notice: {error}") from error
