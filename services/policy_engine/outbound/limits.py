"""Limits of what leaves: by account, domain and tenant; counted with the rates of all pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from posthouse.mail.rates import Buckets, Key, Rate
from posthouse.runtime.durations import duration_words
from posthouse.runtime.rate_settings import parse_rate
from posthouse.storage.outbound.terms import Terms

MAX_RATES = 4  # of one limit
MAX_KNOWN = 10_000  # accounts and things, whose buckets are remembered
Rates: TypeAlias = tuple[Rate, ...]
Counted: TypeAlias = tuple[tuple[Key, Rate], ...]
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


class Limits:
    """Counts and decides at once, by what this pod knows of all."""

    def __init__(self, buckets: Buckets, defaults: Defaults) -> None:
        """Count in ``buckets``, by ``defaults`` where terms say nothing else."""
        self._buckets = buckets
        self._defaults = defaults
        self._known: dict[tuple[str, str], tuple[Terms, Counted]] = {}

    def full(self, account: str, terms: Terms, thing: str) -> Full | None:
        """Return the first limit that has no room for one more; nothing is counted."""
        for key, rate in self._of(account, terms, thing):
            if not self._buckets.has_room(key, rate):
                return Full(key[0], thing, rate)
        return None

    def take(self, account: str, terms: Terms, thing: str) -> Full | None:
        """Count one more; return the limit that has no room for it, then nothing is counted."""
        full = self.full(account, terms, thing)
        if full is None:
            self.add(account, terms, thing, 1)
        return full

    def add(self, account: str, terms: Terms, thing: str, count: int) -> None:
        """Count ``count`` more, room or not."""
        for key, rate in self._of(account, terms, thing):
            self._buckets.add(key, rate, count)

    def _of(self, account: str, terms: Terms, thing: str) -> Counted:
        """Return where an account is counted; made once for each time its terms are asked for."""
        known = self._known.get((account, thing))
        if known is not None and known[0] is terms:
            return known[1]
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        made = tuple(self._made(account, terms, thing))
        self._known[account, thing] = (terms, made)
        return made

    def _made(self, account: str, terms: Terms, thing: str) -> Iterator[tuple[Key, Rate]]:
        """Yield the buckets of an account, its domain and its tenant, and their rates."""
        for scope, who in (
            ("account", account),
            ("domain", account.rpartition("@")[2]),
            ("tenant", terms.tenant),
        ):
            said = terms.limits.get((scope, thing))
            rates = self._defaults[scope, thing] if said is None else parse_rates(said)
            for rate in rates if who else ():
                name = f"tenant {who}" if scope == "tenant" else who
                yield (name, f"sent {thing}/{duration_words(rate.period)}"), rate
