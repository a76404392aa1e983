"""MTA-STS: the record, the policy, and what to do with what is known. Pure (RFC 8461).

_mta-sts.example.org  TXT "v=STSv1; id=20261122T080000;"
https://mta-sts.example.org/.well-known/mta-sts.txt
    version: STSv1 / mode: enforce / mx: *.example.org / max_age: 604800
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from posthouse.mail.address import is_domain

VERSION = "STSv1"
MAX_POLICY_OCTETS = 65_536  # RFC 8461 §3.3 leaves the bound to us
MAX_AGE = timedelta(seconds=31_557_600)  # §3.2: about a year
MAX_PATTERNS = 100
REFRESH = timedelta(days=1)  # §10.2: so that a policy in use never runs out
AGAIN = timedelta(minutes=5)  # §3.3: between two fetches after a failure

Mode: TypeAlias = Literal["enforce", "testing", "none"]

_ID = re.compile(r"[0-9A-Za-z]{1,32}")
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:[ \t]*(.*?)[ \t]*")
_SECONDS = re.compile(r"[0-9]{1,10}")


class BadPolicy(Exception):
    """A text that is no policy; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StsPolicy:
    """A policy (§3.2).

    Attributes:
        mode: What is to be done when a server does not fit.
        mx: The servers' names, or ``*.`` and what stands behind the first label.
        max_age: How long it is good for.
    """

    mode: Mode
    mx: tuple[str, ...]
    max_age: timedelta

    def lists(self, host: str) -> bool:
        """True if ``host`` is one of the domain's servers (§4.1)."""
        return is_listed(host, self.mx)

    @property
    def lines(self) -> tuple[str, ...]:
        """The policy as reports show it (RFC 8460 §4.4)."""
        seconds = int(self.max_age.total_seconds())
        mx = (f"mx: {pattern}" for pattern in self.mx)
        return (f"version: {VERSION}", f"mode: {self.mode}", *mx, f"max_age: {seconds}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is remembered of a domain.

    Attributes:
        id: Of the record under which the policy was fetched.
        policy: The policy; None if it could never be fetched.
        fetched: When.
        tried: When it was asked for last.
        tried_id: The record's id at that time.
    """

    id: str = ""
    policy: StsPolicy | None = None
    fetched: datetime | None = None
    tried: datetime
    tried_id: str

    @property
    def has_failed(self) -> bool:
        """True if the last fetch brought no policy."""
        return self.fetched is None or self.fetched < self.tried

    def valid(self, now: datetime) -> StsPolicy | None:
        """Return the policy, unless it has run out."""
        if self.policy is None or self.fetched is None:
            return None
        return self.policy if now < self.fetched + self.policy.max_age else None


def record_id(records: Iterable[str]) -> str | None:
    """Return the id in the one STS record of ``records``, None if there is not one (§3.1)."""
    texts = [text for text in records if text.partition(";")[0].rstrip() == f"v={VERSION}"]
    if len(texts) != 1:
        return None
    fields = [field.strip().partition("=") for field in texts[0].split(";")[1:]]
    found = next((value.strip() for name, _, value in fields if name.strip() == "id"), "")
    return found if _ID.fullmatch(found) else None


def should_fetch(known: Known | None, ident: str | None, now: datetime) -> bool:
    """True if the policy is to be fetched, as DNS names it ``ident`` (None: it names none).

    What is not published any more is not asked for; a policy at hand counts until its end (§5.1).
    """
    if ident is None:
        return False
    if known is None or known.tried_id != ident:
        return True
    if known.has_failed:
        return now - known.tried >= AGAIN
    policy = known.valid(now)
    return policy is None or now - known.tried >= min(REFRESH, policy.max_age / 2)


def parse_policy(octets: bytes) -> StsPolicy:
    """Read the policy; of a field that comes twice the first counts, but for ``mx`` (§3.2).

    Raises:
        BadPolicy: It is none.
    """
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise BadPolicy("it is not UTF-8") from wrong
    fields: dict[str, str] = {}
    mx: list[str] = []
    for line in filter(None, (each.strip() for each in text.split("\n"))):
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadPolicy("a line is no field")
        if match[1] == "mx":
            mx.append(_pattern(match[2]))
        fields.setdefault(match[1], match[2])
    return _made_of(fields, mx)


def _made_of(fields: dict[str, str], mx: list[str]) -> StsPolicy:
    if fields.get("version") != VERSION:
        raise BadPolicy("the version is not STSv1")
    mode, age = fields.get("mode"), fields.get("max_age", "")
    if mode not in {"enforce", "testing", "none"}:
        raise BadPolicy("the mode is not enforce, testing or none")
    if not _SECONDS.fullmatch(age):
        raise BadPolicy("max_age is no number of seconds")
    if not mx and mode != "none":
        raise BadPolicy("it names no mx")
    if len(mx) > MAX_PATTERNS:
        raise BadPolicy(f"it names more than {MAX_PATTERNS} mx")
    named: dict[str, Mode] = {"enforce": "enforce", "testing": "testing", "none": "none"}
    max_age = min(timedelta(seconds=int(age)), MAX_AGE)
    return StsPolicy(mode=named[mode], mx=tuple(dict.fromkeys(mx)), max_age=max_age)


def _pattern(text: str) -> str:
    name = text.lower().removesuffix(".")
    if not is_domain(name.removeprefix("*.")):
        raise BadPolicy("an mx is no name")
    return name


def is_listed(host: str, patterns: Iterable[str]) -> bool:
    """True if one of ``patterns`` is for ``host``; ``*.`` stands for one label (§4.1, RFC 6125 §6.4.3)."""
    name = host.lower().removesuffix(".")
    label, _, parent = name.partition(".")
    return any(
        pattern == name or (pattern.startswith("*.") and bool(label) and pattern[2:] == parent)
        for pattern in patterns
    )
