"""Validating a chain (RFC 8617 §5.2): what those on the way found can be believed, if they can."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
from posthouse.mail.answers import Found, Temporary

ArcResult: TypeAlias = Literal["none", "pass", "fail"]
UNSURE = "DNS does not tell of a key now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """What was found.

    Attributes:
        result: The chain's validation status, cv= of the next seal (§4.4).
        domains: Who sealed, the oldest first; empty unless it passes, or might.
        selectors: Under which names their keys stand, likewise; empty unless it passes.
        results: What they found: their ARC-Authentication-Results as they stand, likewise.
        oldest_pass: The first set since which the message was not changed; 0 for all (§5.2 5).
        why: What is wrong.
        doubted: Whose keys DNS could not show now, where nothing else is wrong. That is ``fail``, too
            (§5.2.1: what is said is said for good); who need not speak waits, or leaves the chain to others.
    """

    result: ArcResult
    domains: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    results: tuple[bytes, ...] = ()
    oldest_pass: int = 0
    why: str = ""
    doubted: frozenset[str] = frozenset()

    @property
    def is_doubtful(self) -> bool:
        """It might pass another time."""
        return bool(self.doubted)


async def validate(
    names: Names, header: Header, chain: Chain, digests: Mapping[Canon, Digest]
) -> Arc:
    """Return what ``chain`` is worth."""
    if chain.why or not chain.sets:
        return doubtful(chain)
    keys = _Keys(names)
    oldest, newest = await _since_when(keys, header, chain, digests)
    faults = [_Fault(f"set {len(chain.sets)}", chain.sets[-1].message.domain, newest)]
    if not faults[0].is_certain:
        faults += await _seal_faults(keys, chain)
    if certain := next((each for each in faults if each.is_certain), None):
        return Arc(result="fail", why=f"{certain.where}: {certain.why}")
    if doubted := {each.domain for each in faults if each.why}:
        return doubtful(chain, doubted)
    return Arc(
        result="pass",
        domains=tuple(each.seal.domain for each in chain.sets),
        selectors=tuple(each.seal.selector for each in chain.sets),
        results=tuple(each.results for each in chain.sets),
        oldest_pass=oldest,
    )


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with something of ``domain``; nothing if ``why`` is empty."""

    where: str
    domain: str
    why: str

    @property
    def is_certain(self) -> bool:
        return self.why not in {"", UNSURE}


async def _since_when(
    keys: _Keys, header: Header, chain: Chain, digests: Mapping[Canon, Digest]
) -> tuple[int, str]:
    """Return the first set since which nothing was changed, and what is wrong with the newest."""
    for n, each in reversed(list(enumerate(chain.sets, start=1))):
        if why := await _message_fault(keys, header, each, digests):
            return n + 1, why if n == len(chain.sets) else ""
    return 0, ""


async def _seal_faults(keys: _Keys, chain: Chain) -> list[_Fault]:
    """Return the faults of the seals, the oldest first, up to one that is certain."""
    before, faults = sha256(), list[_Fault]()
    for n, each in enumerate(chain.sets, start=1):
        why = await _seal_fault(keys, each, before.copy())
        faults.append(_Fault(f"seal {n}", each.seal.domain, why))
        if faults[-1].is_certain:
            break
        before.update(b"".join(map(_relaxed, (each.results, each.message.field, each.seal.field))))
    return faults


def doubtful(chain: Chain, doubted: Collection[str] | None = None, why: str = UNSURE) -> Arc:
    """Return what is known of ``chain`` while DNS does not tell of ``doubted``; None: of nobody."""
    if not chain.sets:
        return Arc(result="fail" if chain.why else "none", why=chain.why)
    if doubted is None:
        doubted = {name for each in chain.sets for name in (each.message.domain, each.seal.domain)}
    return Arc(
        result="fail",
        domains=tuple(each.seal.domain for each in chain.sets),
        why=f"{why}: {' '.join(sorted(doubted))}",
        doubted=frozenset(doubted),
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
        if isinstance(answer, Temporary):
            return UNSURE
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
