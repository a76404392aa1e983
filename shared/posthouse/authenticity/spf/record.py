"""An SPF record read (RFC 7208 §4.6, §5, §6): all of it is valid, or none of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, TypeAlias

from posthouse.authenticity.spf.macros import BadMacro, check_domain, check_string

Qualifier: TypeAlias = Literal["+", "-", "~", "?"]

VERSION = "v=spf1"
REMEMBERED = 2000  # records: senders come back
MAX_BITS = {4: 32, 6: 128}

_TERM = re.compile(
    r"(?P<qualifier>[-+?~]?)(?P<name>[A-Za-z][A-Za-z0-9_.-]*)(?P<rest>.*)", re.DOTALL
)
_CIDR = r"0|[1-9][0-9]{0,2}"
_TARGET = re.compile(
    rf"(?::(?P<spec>.*?))?(?:/(?P<four>{_CIDR}))?(?://(?P<six>{_CIDR}))?", re.DOTALL
)
_QUAD = r"(?:0|[1-9][0-9]{0,2})"
_IP4 = re.compile(rf":(?P<ip>{_QUAD}(?:\.{_QUAD}){{3}})(?:/(?P<bits>{_CIDR}))?")
_IP6 = re.compile(rf":(?P<ip>[0-9A-Fa-f:.]+)(?:/(?P<bits>{_CIDR}))?")


class BadRecord(ValueError):
    """The record has a syntax error: permerror."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """A mechanism and what its match means.

    Attributes:
        qualifier: pass, fail, softfail, neutral.
        name: Of the mechanism, lower case.
        spec: Its domain-spec; empty for the domain itself.
        network: Of ip4 and ip6.
        bits: How many high-order bits are compared, by version of IP; of a and mx.
        text: As it stands in the record, for who wants to know why.
    """

    qualifier: Qualifier
    name: str
    spec: str = ""
    network: IPv4Network | IPv6Network | None = None
    bits: tuple[int, int] = (MAX_BITS[4], MAX_BITS[6])
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole record.

    Attributes:
        directives: In their order.
        redirect: Its domain-spec; None if there is none, or if "all" makes it void (§5.1).
        explanation: The domain-spec of "exp"; None if there is none.
    """

    directives: tuple[Directive, ...]
    redirect: str | None = None
    explanation: str | None = None


def is_spf(text: str) -> bool:
    """Return True if ``text`` begins with the version section (§4.5)."""
    return text[: len(VERSION)].lower() == VERSION and text[len(VERSION) :][:1] in {"", " "}


@lru_cache(REMEMBERED)
def parse(text: str) -> Record:
    """Return the record ``text``, which `is_spf`; raise `BadRecord`."""
    directives: list[Directive] = []
    modifiers: dict[str, str] = {}
    for term in text[len(VERSION) :].split(" "):
        if not term:
            continue
        match = _TERM.fullmatch(term)
        if match is None:
            raise BadRecord(f"not a term: {term}")
        try:
            if match["rest"].startswith("="):
                _modify(modifiers, match)
            else:
                directives.append(_directive(match))
        except (BadMacro, ValueError) as wrong:
            raise BadRecord(str(wrong)) from wrong
    has_all = any(each.name == "all" for each in directives)
    return Record(
        directives=tuple(directives),
        redirect=None if has_all else modifiers.get("redirect"),
        explanation=modifiers.get("exp"),
    )


def _modify(modifiers: dict[str, str], match: re.Match[str]) -> None:
    """Read a modifier; unknown ones are valid if they are macro-strings (§6)."""
    name, value = match["name"].lower(), match["rest"][1:]
    if match["qualifier"]:
        raise BadRecord(f"a modifier has no qualifier: {match[0]}")
    if name not in {"redirect", "exp"}:
        check_string(value)
        return
    if name in modifiers:
        raise BadRecord(f"{name} stands there twice")
    check_domain(value)
    modifiers[name] = value


def _directive(match: re.Match[str]) -> Directive:
    name, rest = match["name"].lower(), match["rest"]
    qualifier: Qualifier = match["qualifier"] or "+"  # type: ignore[assignment]
    if name in {"ip4", "ip6"}:
        network = _network(name, rest)
        return Directive(qualifier=qualifier, name=name, network=network, text=match[0])
    target = _TARGET.fullmatch(rest)
    if target is None or name not in _TARGETS:
        raise BadRecord(f"not a mechanism: {match[0]}")
    spec, prefixes = target["spec"], (target["four"], target["six"])
    takes_spec, needs_spec, takes_bits = _TARGETS[name]
    if (spec is not None and not takes_spec) or (spec is None and needs_spec):
        raise BadRecord(f"with or without a domain: {match[0]}")
    if any(prefixes) and not takes_bits:
        raise BadRecord(f"takes no prefix length: {match[0]}")
    if spec is not None:
        check_domain(spec)
    bits = _bits(prefixes[0], 4), _bits(prefixes[1], 6)
    return Directive(qualifier=qualifier, name=name, spec=spec or "", bits=bits, text=match[0])


_TARGETS = {  # may have a domain-spec, must have one, may have prefix lengths (§5)
    "all": (False, False, False),
    "include": (True, True, False),
    "a": (True, False, True),
    "mx": (True, False, True),
    "ptr": (True, False, False),
    "exists": (True, True, False),
}


def _bits(text: str | None, version: Literal[4, 6]) -> int:
    bits = MAX_BITS[version] if text is None else int(text)
    if bits > MAX_BITS[version]:
        raise BadRecord(f"prefix length {bits}")
    return bits


def _network(name: str, rest: str) -> IPv4Network | IPv6Network:
    match = (_IP4 if name == "ip4" else _IP6).fullmatch(rest)
    if match is None:
        raise BadRecord(f"not an address: {name}{rest}")
    bits = _bits(match["bits"], 4 if name == "ip4" else 6)
    network = ip_network(f"{match['ip']}/{bits}", strict=False)
    if network.version != (4 if name == "ip4" else 6):
        raise BadRecord(f"not an address: {name}{rest}")
    return network
