"""Validating a chain (RFC 8617 §5.2): what those on the way found can be believed, if they can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal, Protocol, TypeAlias

from posthouse.authenticity.arc.chain import ArcSet, Chain
from posthouse.authenticity.dkim.bodies import Canon, Digest
from posthouse.authenticity.dkim.headers import Header, canonical, without_signature
from posthouse.authenticity.dkim.keys import BadKey, Key, parse_key
from posthouse.authenticity.dkim.verifying import judge
from posthouse.authenticity.names import Names
from posthouse.mail.answers import Found

ArcResult: TypeAlias = Literal["none", "pass", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """What was found.

    Attributes:
        result: The chain's validation status, cv= of the next seal (§4.4).
        domains: Who sealed, the oldest first; empty unless it passes.
        results: What they found: their ARC-Authentication-Results as they stand, likewise.
        oldest_pass: The first set since which the message was not changed; 0 for all (§5.2 5).
        why: What is wrong.
    """

    result: ArcResult
    domains: tuple[str, ...] = ()
    results: tuple[bytes, ...] = ()
    oldest_pass: int = 0
    why: str = ""


async def validate(
    names: Names, header: Header, chain: Chain, digests: Mapping[Canon, Digest]
) -> Arc:
    """Return what ``chain`` is worth; whatever is wrong with it, DNS included, is final (§5.2.1)."""
    if chain.why:
        return Arc(result="fail", why=chain.why)
    if not chain.sets:
        return Arc(result="none")
    keys = _Keys(names)
    oldest = 0
    for n, each in reversed(list(enumerate(chain.sets, start=1))):
        why = await _message_fault(keys, header, each, digests)
        if why and n == len(chain.sets):
            return Arc(result="fail", why=f"set {n}: {why}")
        if why:
            oldest = n + 1
            break
    before = sha256()
    for n, each in enumerate(chain.sets, start=1):
        if why := await _seal_fault(keys, each, before.copy()):
            return Arc(result="fail", why=f"seal {n}: {why}")
        before.update(b"".join(map(_relaxed, (each.results, each.message.field, each.seal.field))))
    return Arc(
        result="pass",
        domains=tuple(each.seal.domain for each in chain.sets),
        results=tuple(each.results for each in chain.sets),
        oldest_pass=oldest,
    )


class _Hash(Protocol):
    """One of hashlib's."""

    def update(self, octets: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Keys:
    """The keys of one chain: often the same."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[str, Key | str] = {}

    async def get(self, selector: str, domain: str) -> Key | str:
        """Return the key, or why there is none."""
        name = f"{selector}._domainkey.{domain}"
        if name not in self._known:
            self._known[name] = await self._fetch(name)
        return self._known[name]

    async def _fetch(self, name: str) -> Key | str:
        answer = await self._names.txt(name)
        if not isinstance(answer, Found):
            return "no key"
        try:
            return parse_key(answer.records[0])
        except BadKey as wrong:
            return str(wrong)


async def _message_fault(
    keys: _Keys, header: Header, each: ArcSet, digests: Mapping[Canon, Digest]
) -> str:
    """Return what is wrong with a set's signature of the message; empty if nothing is."""
    key = await keys.get(each.message.selector, each.message.domain)
    if isinstance(key, str):
        return key
    found = judge(each.message, key, header, digests[each.message.body_canon], datetime.now(UTC))
    return "" if found.result == "pass" else found.why or found.result


async def _seal_fault(keys: _Keys, each: ArcSet, sealed: _Hash) -> str:
    """Return what is wrong with a seal, where ``sealed`` has taken all sets before; empty if nothing is."""
    seal = each.seal
    key = await keys.get(seal.selector, seal.domain)
    if isinstance(key, str):
        return key
    if not seal.algorithm.startswith(key.kind) or not seal.algorithm.endswith("sha256"):
        return f"sealed by {seal.algorithm}"
    if key.bits < key.least_bits:
        return f"a key of {key.bits} bits proves nothing"
    sealed.update(_own_octets(each.results, each.message.field, seal.field))
    return "" if key.is_signed(sealed.digest(), seal.octets) else "the sets were changed"


def sealed_octets(before: Sequence[ArcSet], results: bytes, message: bytes, seal: bytes) -> bytes:
    """Return what a seal signs: all sets so far, and its own, unfinished (§5.1.1)."""
    fields = [
        field for each in before for field in (each.results, each.message.field, each.seal.field)
    ]
    return b"".join(map(_relaxed, fields)) + _own_octets(results, message, seal)


def _own_octets(results: bytes, message: bytes, seal: bytes) -> bytes:
    """Return what a seal signs of its own set."""
    unfinished = _relaxed(without_signature(seal)).removesuffix(b"\r\n")
    return _relaxed(results) + _relaxed(message) + unfinished


def _relaxed(field: bytes) -> bytes:
    return canonical(field, "relaxed")
