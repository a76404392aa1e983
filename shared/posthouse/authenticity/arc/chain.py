"""The ARC sets of a message read (RFC 8617 §4, §5.2 steps 1 to 3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.signature import (
    BadSignature,
    Signature,
    a_labels,
    algorithm,
    base64,
    read_message_signature,
)
from posthouse.authenticity.tags import BadTags, parse_tags

MAX_SETS = 50  # §5.2
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t]*=[ \t]*([0-9]{1,3})[ \t\r\n]*;")
RESULTS, MESSAGE, SEAL = (
    b"arc-authentication-results",
    b"arc-message-signature",
    b"arc-seal",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """An ARC-Seal (§4.1.3).

    Attributes:
        field: As it stands.
        algorithm: As in `Signature`.
        domain: d=.
        selector: s=.
        octets: b=.
        status: cv=: ``none``, ``pass`` or ``fail``.
    """

    field: bytes
    algorithm: str
    domain: str
    selector: str
    octets: bytes
    status: str


@dataclass(frozen=True, slots=True)
class ArcSet:
    """What one server has added.

    Attributes:
        results: The field ARC-Authentication-Results, as it stands.
        message: Its signature of the message.
        seal: Its signature of all sets so far.
    """

    results: bytes
    message: Signature
    seal: Seal


@dataclass(frozen=True, slots=True)
class Chain:
    """All sets, the oldest first.

    Attributes:
        sets: Empty where there are none, or they make no chain.
        why: What is wrong; empty where nothing is.
        highest: The highest instance that is named, whatever it is worth.
        is_over: The last one has said that it is broken (cv=fail).
    """

    sets: tuple[ArcSet, ...] = ()
    why: str = ""
    highest: int = 0
    is_over: bool = field(default=False)


def read_chain(header: Header) -> Chain:
    """Return the chain of a message."""
    found: dict[int, dict[bytes, list[bytes]]] = {}
    for name in (RESULTS, MESSAGE, SEAL):
        for each in header.all(name):
            instance = _instance(each)
            found.setdefault(instance, {}).setdefault(name, []).append(each)
    if not found:
        return Chain()
    highest = max(found)
    if highest > MAX_SETS or len(found) > MAX_SETS:
        return Chain(why="more than 50 sets", highest=highest)
    try:
        sets = tuple(_set(found.get(n, {}), n) for n in range(1, highest + 1))
    except (BadSignature, BadTags, UnicodeDecodeError) as wrong:
        return Chain(why=str(wrong), highest=highest)
    is_over = sets[-1].seal.status == "fail" if sets else False
    why = _broken(sets) if sets else "no set is numbered"
    return Chain(() if why else sets, why, highest, is_over)


def _instance(octets: bytes) -> int:
    """Return i=, 0 if it says none (§4.2.1)."""
    value = octets.partition(b":")[2]
    match = _INSTANCE.match(value) or re.search(rb";" + _INSTANCE.pattern, value + b";")
    return int(match[1]) if match else 0


def _set(fields: Mapping[bytes, list[bytes]], n: int) -> ArcSet:
    """Read one set, of exactly three fields (§5.2 3A, 3B)."""
    if any(len(fields.get(name, ())) != 1 for name in (RESULTS, MESSAGE, SEAL)):
        raise BadSignature(f"set {n} is not whole")
    (results,), (message,), (seal,) = fields[RESULTS], fields[MESSAGE], fields[SEAL]
    return ArcSet(results, read_message_signature(message), _seal(seal))


def _seal(octets: bytes) -> Seal:
    tags = parse_tags(octets.partition(b":")[2].decode("utf-8", "strict"))
    missing = [name for name in ("a", "b", "cv", "d", "s") if not tags.get(name)]
    if missing or "h" in tags:  # §4.1.3
        raise BadSignature(f"a seal without {missing[0]}=" if missing else "a seal with h=")
    return Seal(
        field=octets,
        algorithm=algorithm(tags["a"]),
        domain=a_labels(tags["d"]),
        selector=a_labels(tags["s"]),
        octets=base64(tags["b"]),
        status=tags["cv"].lower(),
    )


def _broken(sets: tuple[ArcSet, ...]) -> str:
    """Return what the seals say against the chain (§5.2 2, 3C)."""
    for n, each in enumerate(sets, start=1):
        expected = "none" if n == 1 else "pass"
        if each.seal.status != expected:
            return f"seal {n} says cv={each.seal.status}"
    return ""
