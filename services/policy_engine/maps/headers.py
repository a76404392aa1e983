"""Maps in header fields of mail of this house: before it is signed, so that what is signed is stored.

    From, Sender, Reply-To, and who else is answered   sender-canonical, canonical, masquerade
    To, Cc, Bcc                                        recipient-canonical, canonical
    all of them, if a recipient is outside             generic

Only addresses are changed, wherever they stand; names, comments and folding stay octet for octet.
One object is stored for all recipients: where some of them are here they see what the world sees.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from policy_engine.content.case import Case
from policy_engine.maps.book import CurrentMaps
from policy_engine.maps.looking import NO_MAPS, Maps
from policy_engine.maps.rewriting import OUTSIDE, RECIPIENT, SENDER, rewritten
from policy_engine.places import Known
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.maps import Kind
from posthouse.storage.directory import Found

Resolve: TypeAlias = Callable[[Sequence[str]], Awaitable[dict[str, Found]]]
Leaves: TypeAlias = Callable[[Case], Awaitable[bool]]

MAX_LINE = 998  # octets (RFC 5322 §2.1.1)
MAX_ROUNDS = len(SENDER) + len(OUTSIDE) + 2
HEADER_KINDS: frozenset[Kind] = frozenset({*SENDER, *RECIPIENT, *OUTSIDE})

_FIELD = re.compile(
    r"(?im)^(?:resent-)?(?:(from|sender|(?:mail-)?reply-to|(?:mail-)?followup-to|errors-to|"
    r"return-receipt-to|disposition-notification-to)|(?:apparently-)?to|cc|bcc)[ \t]*:"
    r"(?:[^\n]++|\n[ \t])*+"
)
# Quoted strings, comments (in one another, two deep) and encoded words are passed over: what looks
# like an address there is none.
# Each begins where no other can go on, and what has no end goes to the end: in linear time.
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+(?:"(?:@\S+)?|\\?\Z)|=\?\S{0,200}?\?=|'
    r"\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*+\))*+(?:\)|\\?\Z)|"
    r"(?<![^\s<>()\[\]:;,\"@\\])"
    r"(?P<address>[^\s<>()\[\]:;,\"@\\]++@[^\s<>()\[\]:;,\"@\\]++)",
    re.DOTALL,
)


class HeaderMaps:
    """Rewrites header fields."""

    def __init__(self, current: CurrentMaps, resolve: Resolve, leaves: Leaves) -> None:
        """Ask ``leaves`` whether any recipient of a message is outside, where that matters."""
        self._current = current
        self._resolve = resolve
        self._leaves = leaves
        self._maps = NO_MAPS

    async def refresh(self) -> None:
        """See which maps there are now; raise `Unavailable`."""
        self._maps = await self._current()

    @property
    def is_idle(self) -> bool:
        """True if no map says anything of header fields."""
        return self._maps.kinds.isdisjoint(HEADER_KINDS)

    async def __call__(self, case: Case, header: bytes) -> bytes:
        """Return ``header`` of ``case`` with its addresses rewritten; raise `Unavailable`."""
        if self.is_idle:
            return header
        outside = not self._maps.kinds.isdisjoint(OUTSIDE) and await self._leaves(case)
        text = header.decode("utf-8", "surrogateescape")
        known: dict[str, Found] = {}
        for _ in range(MAX_ROUNDS):
            missing: set[str] = set()
            after = headed(text, self._maps, known, missing, is_leaving=outside)
            if not missing:
                return after.encode("utf-8", "surrogateescape")
            known |= await self._resolve(sorted(missing))
        raise ValueError("the directory does not come to an end")


def headed(
    header: str, maps: Maps, known: Known, missing: set[str], *, is_leaving: bool = False
) -> str:
    """Return ``header`` as maps make it; what must be known before is added to ``missing``."""

    def field(found: re.Match[str]) -> str:
        kinds = (*(SENDER if found[1] else RECIPIENT), *(OUTSIDE if is_leaving else ()))
        after = _TOKEN.sub(lambda token: _address(token, kinds, maps, known, missing), found[0])
        longest = max(len(line.encode("utf-8", "replace")) for line in after.split("\n"))
        return after if longest <= MAX_LINE else found[0]

    return _FIELD.sub(field, header)


def _address(
    token: re.Match[str], kinds: Sequence[Kind], maps: Maps, known: Known, missing: set[str]
) -> str:
    if token["address"] is None:
        return token[0]
    try:
        address = parse_address(token[0])
    except BadAddress:
        return token[0]
    after = rewritten(address, kinds, maps, known)
    missing.update(after.missing)
    return str(after.address) if after.by else token[0]
