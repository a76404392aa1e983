"""Macros of SPF records (RFC 7208 §7): their syntax, and what they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias
from urllib.parse import quote

Ip: TypeAlias = IPv4Address | IPv6Address

MAX_NAME_CHARACTERS = 253  # of a domain name in text (RFC 7208 §7.3)
_TOKEN = re.compile(
    r"%\{(?P<letter>[slodiphcrtv])(?P<digits>[0-9]*)(?P<reverse>r?)(?P<delimiters>[.\-+,/_=]*)\}"
    r"|%(?P<escape>[%_-])|(?P<literal>[!-$&-~]+)",
    re.IGNORECASE,
)
_TOPLABEL = re.compile(
    r"\.(?:[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9])\.?\Z", re.IGNORECASE
)
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
_ONLY_EXPLAINING = frozenset("crt")


class BadMacro(ValueError):
    """The text is no macro-string."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What macro letters stand for.

    Attributes:
        sender: The address that is checked; its local part is never empty.
        domain: Whose record it is.
        ip: The client's address.
        hello: What the client called itself.
        validated: The client's validated name, ``unknown`` if there is none.
        receiver: Our name, for explanations.
        now: Seconds since the Epoch, for explanations.
    """

    sender: str
    domain: str
    ip: Ip
    hello: str
    validated: str = "unknown"
    receiver: str = "unknown"
    now: int = 0


_LETTERS: dict[str, Callable[[Values], str]] = {
    "s": lambda values: values.sender,
    "l": lambda values: values.sender.rpartition("@")[0],
    "o": lambda values: values.sender.rpartition("@")[2],
    "d": lambda values: values.domain,
    "i": lambda values: _dotted(values.ip),
    "p": lambda values: values.validated,
    "h": lambda values: values.hello,
    "c": lambda values: str(values.ip),
    "r": lambda values: values.receiver,
    "t": lambda values: str(values.now),
    "v": lambda values: "in-addr" if values.ip.version == 4 else "ip6",  # noqa: PLR2004 - IPv4
}


def check_string(text: str, *, explains: bool = False) -> None:
    """Raise `BadMacro` if ``text`` is no macro-string or, if it ``explains``, no explain-string."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if explains and text[at] == " ":
                at += 1
                continue
            raise BadMacro(f"not a macro: {text[at : at + 20]}")
        letter, digits = match["letter"], match["digits"]
        if letter and letter.lower() in _ONLY_EXPLAINING and not explains:
            raise BadMacro(f"only for explanations: {match[0]}")
        if digits and not int(digits[:9]):
            raise BadMacro(f"no parts: {match[0]}")
        at = match.end()


def check_domain(text: str) -> None:
    """Raise `BadMacro` if ``text`` is no domain-spec: it ends in a label of letters, or a macro."""
    check_string(text)
    ends_in_macro = text.endswith(("}", "%%", "%_", "%-")) and _last_token(text) != "literal"
    if not ends_in_macro and not _TOPLABEL.search(text):
        raise BadMacro(f"not a domain: {text}")


def uses_name(text: str) -> bool:
    """Return True if the client's validated name is needed to `expand` ``text``."""
    return any((match["letter"] or "").lower() == "p" for match in _TOKEN.finditer(text))


def expand(text: str, values: Values) -> str:
    """Return ``text``, which was checked, with its macros replaced (RFC 7208 §7.3)."""
    return _TOKEN.sub(lambda match: _expanded(match, values), text)


def expand_name(text: str, values: Values) -> str:
    """Return the domain name that ``text`` stands for, cut on the left if it is too long."""
    name = expand(text, values).removesuffix(".")
    while len(name) > MAX_NAME_CHARACTERS and "." in name:
        name = name.partition(".")[2]
    return name


def _last_token(text: str) -> str:
    kind = ""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
    return kind


def _expanded(match: re.Match[str], values: Values) -> str:
    if match["literal"]:
        return match[0]
    if match["escape"]:
        return _ESCAPES[match["escape"]]
    letter = match["letter"]
    value = _LETTERS[letter.lower()](values)
    if match["digits"] or match["reverse"] or match["delimiters"]:
        parts = re.split(f"[{re.escape(match['delimiters'] or '.')}]", value)
        if match["reverse"]:
            parts.reverse()
        if match["digits"]:
            parts = parts[-int(match["digits"][:9]) :]
        value = ".".join(parts)
    return quote(value, safe="-._~") if letter.isupper() else value


def _dotted(ip: Ip) -> str:
    return str(ip) if isinstance(ip, IPv4Address) else ".".join(ip.exploded.replace(":", ""))
