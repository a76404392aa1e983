"""Limits of what leaves: by account, domain and tenant; counted with the rates of all pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from posthouse.mail.rates import Buckets, Rate
from posthouse.runtime.durations import duration_words
from posthouse.runtime.rate_settings import parse_rate
from posthouse.storage.outbound.terms import Terms

MAX_RATES = 4  # of one limit
Rates: TypeAlias = tuple[Rate, ...]
Defaults: TypeAlias = Mapping[tuple[str, str], Rates]


@lru_cache(maxsize=10_000)
def parse_rates(text: str) -> Rates:
    """Read ``500/1h,2000/1d`` or ``0``; `ValueError`. No rates are no limit."""
    parts = [part for part in text.split(",") if part.strip()]
    if not 0 < len(parts) <= MAX_RATES:
        raise ValueError(f"must be 1 to {MAX_RATES} rates, like 500/1h,2000/1d, or 0 for no limit")
    return tuple(rate for part in parts if (rate := parse_rate(part)).most)


@dataclass(frozen=True, slots=True)
class Full:
    """A limit that is reached.

    Attributes:
        who: Whose.
        thing: Of what.
        rate: Which.
    """

    who: str
    thing: str
    rate: Rate

    @property
    def text(self) -> str:
        """What the client is told."""
        most, period = self.rate.most, duration_words(self.rate.period)
        return f"Sending limit of {self.who} reached: {most} {self.thing} in {period}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts and decides at once, by what this pod knows of all."""

    buckets: Buckets
    defaults: Defaults

    def full(self, account: str, terms: Terms, thing: str) -> Full | None:
        """Return the first limit that has no room for one more; nothing is counted."""
        for who, rate in self._of(account, terms, thing):
            if not self.buckets.has_room((who, _name(thing, rate)), rate):
                return Full(who, thing, rate)
        return None

    def take(self, account: str, terms: Terms, thing: str) -> Full | None:
        """Count one more; return the limit that has no room for it, then nothing is counted."""
        full = self.full(account, terms, thing)
        if full is None:
            self.add(account, terms, thing, 1)
        return full

    def add(self, account: str, terms: Terms, thing: str, count: int) -> None:
        """Count ``count`` more, room or not."""
        for who, rate in self._of(account, terms, thing):
            self.buckets.add((who, _name(thing, rate)), rate, count)

    def _of(self, account: str, terms: Terms, thing: str) -> Iterator[tuple[str, Rate]]:
        """Yield whose limits there are, and which."""
        for scope, who in (
            ("account", account),
            ("domain", account.rpartition("@")[2]),
            ("tenant", terms.tenant),
        ):
            said = terms.limits.get((scope, thing))
            rates = self.defaults[scope, thing] if said is None else parse_rates(said)
            for rate in rates if who else ():
                yield (f"tenant {who}" if scope == "tenant" else who), rate


@lru_cache(maxsize=10_000)
def _name(thing: str, rate: Rate) -> str:
    return f"sent {thing}/{duration_words(rate.period)}"
