"""A DMARC record read (RFC 7489 §6.3; DMARCbis §4.7: psd, np and t came in, pct goes)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, cast

Policy: TypeAlias = Literal["none", "quarantine", "reject"]
Mode: TypeAlias = Literal["r", "s"]  # relaxed, strict

REMEMBERED = 4000
MAX_URIS = 10  # of those that reports go to
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_POLICIES = frozenset({"none", "quarantine", "reject"})
_WHOLE = 100  # percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a domain says.

    Attributes:
        policy: p=, for itself.
        subdomains: sp=, for what is below it.
        missing: np=, for what is below it and does not exist.
        spf_mode: aspf=.
        dkim_mode: adkim=.
        percent: pct=, of the messages that the policy is for.
        is_testing: t=y: nothing is to be done yet.
        boundary: psd=: ``y`` for a public suffix, ``n`` for an organizational domain, ``u``.
        reports_to: rua=, the addresses of aggregate reports (``mailto:`` URIs without the scheme).
        failures_to: ruf=, likewise.
        options: fo=, of which failures they want to be told.
    """

    policy: Policy
    subdomains: Policy
    missing: Policy
    spf_mode: Mode = "r"
    dkim_mode: Mode = "r"
    percent: int = _WHOLE
    is_testing: bool = False
    boundary: Literal["y", "n", "u"] = "u"
    reports_to: tuple[str, ...] = ()
    failures_to: tuple[str, ...] = ()
    options: str = "0"


def is_dmarc(text: str) -> bool:
    """Return True if ``text`` begins with the version."""
    return _VERSION.match(text) is not None


@lru_cache(REMEMBERED)
def parse(text: str) -> Record | None:
    """Return what ``text``, which `is_dmarc`, says; None if it is no valid record.

    Tags that nobody knows, and values that nobody knows of tags that have a default, do not count.
    """
    tags = tags_of(text)
    reports_to = _addresses(tags.get("rua", ""))
    policy = tags.get("p", "").lower()
    if policy not in _POLICIES:
        if not reports_to:
            return None
        policy = "none"  # RFC 7489 §6.6.3 (6)
    subdomains = _policy(tags.get("sp"), policy)
    return Record(
        policy=cast("Policy", policy),
        subdomains=subdomains,
        missing=_policy(tags.get("np"), subdomains),
        spf_mode="s" if tags.get("aspf", "").lower() == "s" else "r",
        dkim_mode="s" if tags.get("adkim", "").lower() == "s" else "r",
        percent=_percent(tags.get("pct", "")),
        is_testing=tags.get("t", "").lower() == "y",
        boundary=cast('Literal["y", "n"]', psd)
        if (psd := tags.get("psd", "").lower()) in {"y", "n"}
        else "u",
        reports_to=reports_to,
        failures_to=_addresses(tags.get("ruf", "")),
        options=_options(tags.get("fo", "")),
    )


def tags_of(text: str) -> dict[str, str]:
    """Return the tags, the first of each name; what is no tag does not count (RFC 7489 §6.3)."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    return tags


def _policy(text: str | None, default: str) -> Policy:
    value = (text or "").lower()
    return cast("Policy", value if value in _POLICIES else default)


def _percent(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= 3  # noqa: PLR2004 - digits
    return min(int(text), _WHOLE) if is_number else _WHOLE


def _options(text: str) -> str:
    """Return those of fo= that are some, ``0`` if none is."""
    wanted = {word.strip().lower() for word in text.split(":")}
    return ":".join(each for each in "01ds" if each in wanted) or "0"


def _addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of ``mailto:`` URIs, without the size that may stand behind ``!``."""
    found = []
    for uri in text.split(",")[:MAX_URIS]:
        scheme, _, rest = uri.strip().partition(":")
        if scheme.lower() == "mailto" and "@" in rest:
            found.append(rest.partition("!")[0].partition("?")[0])
    return tuple(found)
