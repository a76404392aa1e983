"""Envelopes as they go over the wire: JSON of tagged msgspec structs.

An old station reads a new envelope and a new station an old one (unknown fields are skipped, new
ones have defaults); an unknown tag, or one that does not belong on this road, is `BadEnvelope`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from posthouse.bus.topology import KIND_ON
from posthouse.mail.envelope import Envelope, MailboxChanged
from posthouse.mail.errors import BadEnvelope

_encoder = msgspec.json.Encoder()
_any_envelope = msgspec.json.Decoder(Envelope)
_on_road = {road: msgspec.json.Decoder(kind) for road, kind in KIND_ON.items()}
_notices = msgspec.json.Decoder(tuple[MailboxChanged, ...])


def encode(envelope: Envelope) -> bytes:
    """Return the octets that `decode` reads."""
    return _encoder.encode(envelope)


def decode(octets: bytes, road: str | None = None) -> Envelope:
    """Return the envelope in ``octets``.

    Args:
        octets: A message's body.
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
