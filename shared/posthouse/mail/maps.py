r"""Maps of addresses: what may stand in them, and in which order their keys are looked up. Pure.

    anna@a.test    this address, also with a detail (anna+lists@a.test)
    anna@          this local part in every domain of ours
    /^a.*@b\.test/  a pattern of RE2, over the address in lower case
    @a.test        all addresses of the domain
    @.a.test       all below it
    *              all

What fits best counts, in the order written here. Of several patterns the first by name counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from posthouse.mail.address import (
    DETAIL_DELIMITER,
    Address,
    BadAddress,
    is_domain,
    is_local_part,
    parse_address,
)
from posthouse.mail.details import splits_of
from posthouse.mail.hops import FOLDERS, BadHop, parse_hop

Kind: TypeAlias = Literal[
    "canonical", "sender-canonical", "recipient-canonical", "masquerade", "generic",
    "virtual", "sender-bcc", "recipient-bcc", "transport", "relocated",
    "hold-sender", "hold-recipient",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
EVERYTHING = "*"
NULL_SENDER = "<>"
PATTERN = "/"  # before and behind a pattern
MAX_TARGETS = 1000  # of one entry
MAX_TEXT = 500  # characters of a reason, a new address, a pattern
MAX_LABELS = 10  # of a domain, that keys for all below are made of


class BadEntry(ValueError):
    """Not an entry of this map; in an operator's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a map.

    Attributes:
        kind: Of which map.
        key: Whom it concerns.
        targets: What becomes of them.
    """

    kind: Kind
    key: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What an entry of a map looks like."""

    target: Callable[[str], str]
    least: int = 1
    most: int = 1
    keys: frozenset[str] = frozenset({"address", "local", "pattern", "domain", "below", "all"})


def entry_of(kind: str, key: str, targets: Sequence[str]) -> Entry:
    """Return an entry in the form in which it is kept; raise `BadEntry`."""
    form = _FORMS.get(kind)  # type: ignore[call-overload]
    if form is None:
        raise BadEntry(f"there is no map {kind}; there are {', '.join(KINDS)}")
    name = key_of(key)
    if shape_of(name) not in form.keys:
        raise BadEntry(f"{kind} takes no key like {key}")
    if not form.least <= len(targets) <= form.most:
        wanted = "one value" if form.most == 1 else f"{form.least} to {form.most} values"
        raise BadEntry(f"{kind} takes {wanted}, not {len(targets)}")
    told = tuple(dict.fromkeys(map(form.target, targets)))
    return Entry(kind=kind, key=name, targets=told)  # type: ignore[arg-type]


def key_of(text: str) -> str:
    """Return a key in the form in which it is kept; raise `BadEntry` if it is none."""
    text = NULL_SENDER if text == "null" else text  # easier to type
    if text in {EVERYTHING, NULL_SENDER}:
        return text
    if text.startswith(PATTERN):
        return _pattern(text)
    local, _, domain = text.rpartition("@")
    if not domain and is_local_part(local):
        return f"{local.lower()}@"
    if not local and is_domain(domain.removeprefix(".")) and "@" in text:
        return f"@{domain.lower()}"
    try:
        return parse_address(text).key
    except BadAddress as wrong:
        raise BadEntry(
            f"not an address, name@, @domain, @.domain, /pattern/ or *: {text}"
        ) from wrong


def shape_of(key: str) -> str:
    """Return what kind of key it is: address, local, pattern, domain, below, all or null."""
    fixed = {EVERYTHING: "all", NULL_SENDER: "null"}
    if key in fixed:
        return fixed[key]
    if key.startswith(PATTERN):
        return "pattern"
    if key.startswith("@"):
        return "below" if key.startswith("@.") else "domain"
    return "local" if key.endswith("@") else "address"


def candidates(address: Address, delimiters: str | None) -> Iterator[str]:
    """Yield the keys that fit ``address``, the best first, `PATTERN` where patterns are tried.

    ``delimiters`` are its domain's; None if that is not ours, where local parts mean nothing.
    """
    own = DETAIL_DELIMITER if delimiters is None else delimiters
    bases = [split.base for split in splits_of(address) if split.delimiter in own]
    locals_ = (address.key.rpartition("@")[0], *bases)
    yield from (f"{local}@{address.domain}" for local in locals_)
    if delimiters is not None:
        yield from local_keys(locals_)
    yield PATTERN
    yield from wide_keys(address)


def wide_keys(address: Address) -> Iterator[str]:
    """Yield the keys of whole domains that ``address`` is in, then that of everything."""
    yield f"@{address.domain}"
    labels = address.domain.split(".")[-MAX_LABELS - 1 :]
    for n in range(1, len(labels)):
        yield f"@.{'.'.join(labels[n:])}"
    yield EVERYTHING


def local_keys(locals_: Sequence[str]) -> Iterator[str]:
    """Yield the keys of local parts."""
    for local in locals_:
        yield f"{local}@"


def changed(address: Address, target: str, detail: str = "") -> Address | None:
    """Return ``address`` as ``target`` says; None if that is no address.

    ``@a.test`` keeps the local part; another address takes over the detail that the key had not.
    """
    try:
        if target.startswith("@"):
            return parse_address(f"{address.local}{target}")
        made = parse_address(target)
        if detail and not made.local.endswith('"') and detail[0] not in made.local:
            return parse_address(f"{made.local}{detail}@{made.domain}")
        return made
    except BadAddress:
        return None


def _pattern(text: str) -> str:
    if len(text) < 3 or not text.endswith(PATTERN) or len(text) > MAX_TEXT:  # noqa: PLR2004 - two bars
        raise BadEntry(f"a pattern stands between two bars and has at most {MAX_TEXT} characters")
    return text


def _address_or_domain(text: str) -> str:
    if text.startswith("@") and is_domain(text[1:]):
        return text.lower()
    try:
        parse_address(text.replace("\\", "x"))  # \1 of a pattern
    except BadAddress as wrong:
        raise BadEntry(f"not an address or @domain: {text}") from wrong
    return text


def _address(text: str) -> str:
    try:
        return str(parse_address(text))
    except BadAddress as wrong:
        raise BadEntry(f"not an address: {text}") from wrong


def _hop(text: str) -> str:
    try:
        hop = parse_hop(text)
    except BadHop as wrong:
        raise BadEntry(str(wrong)) from wrong
    if hop.kind in FOLDERS:
        raise BadEntry("a folder is the way of a whole domain: posthouse route set")
    return str(hop)


def _text(text: str) -> str:
    if not text.isprintable() or not text.strip() or len(text) > MAX_TEXT:
        raise BadEntry(f"must be one line of at most {MAX_TEXT} characters")
    return text.strip()


def _local(text: str) -> str:
    if not is_local_part(text):
        raise BadEntry(f"not a local part: {text}")
    return text.lower()


_REWRITES = _Form(target=_address_or_domain)
_HOLDS = _Form(target=_text)
_FORMS: Mapping[Kind, _Form] = {
    "canonical": _REWRITES,
    "sender-canonical": _REWRITES,
    "recipient-canonical": _REWRITES,
    "generic": _REWRITES,
    "masquerade": _Form(target=_local, least=0, most=MAX_TARGETS, keys=frozenset({"below"})),
    "virtual": _Form(target=_address_or_domain, most=MAX_TARGETS),
    "sender-bcc": _Form(target=_address, most=MAX_TARGETS),
    "recipient-bcc": _Form(target=_address, most=MAX_TARGETS),
    "transport": _Form(target=_hop, keys=frozenset({"address", "pattern", "domain"})),
    "relocated": _Form(target=_text),
    "hold-sender": _Form(
        target=_text,
        keys=frozenset({"address", "local", "pattern", "domain", "below", "all", "null"}),
    ),
    "hold-recipient": _HOLDS,
}
