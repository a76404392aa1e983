"""Rates: so many in such a time, of one client or account; counted here, summed with others.

A rate is a bucket that holds ``most`` and empties evenly in ``period``: so many may come at once,
and then one each ``pace`` (a generic cell rate, as in ATM Forum TM 4.0 §4.4.2). A bucket is one
number, the moment at which it will be empty. That is why buckets of several processes can be
summed in any order, and why one that is empty need not be kept.

Each process decides by its own `Buckets`, at once. What it has taken since it last told
(`Buckets.told`) is summed elsewhere, and what all have taken comes back (`Buckets.learn`).
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

MAX_KEYS = 50_000  # buckets of one process, about 300 octets each
MAX_TOLD = 5_000  # in one exchange
MAX_FORGOTTEN = 1_000  # at once
OVERFLOW = 2  # periods at most until a bucket is empty: what comes on top is not counted
_ROOM = 0.5  # sums of fractions are not exact

Key: TypeAlias = tuple[str, str]  # who, what: ("192.0.2.1", "messages")


@dataclass(frozen=True, slots=True)
class Rate:
    """How many in how long.

    Attributes:
        most: So many at once; 0 is no limit.
        period: Until a full bucket is empty.
        pace: Seconds until there is room for one more.
    """

    most: int
    period: timedelta
    pace: float = field(init=False)

    def __post_init__(self) -> None:
        pace = self.period.total_seconds() / self.most if self.most else 0.0
        object.__setattr__(self, "pace", pace)  # asked for with each mail

    def __str__(self) -> str:
        return f"{self.most}/{self.period.total_seconds():g}s" if self.most else "0"


UNLIMITED = Rate(0, timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class Told:
    """What one process has taken of one bucket since it told last.

    Attributes:
        key: Whose.
        rate: Of which rate.
        seconds: By how much later it will be empty; 0 if this only asks.
    """

    key: Key
    rate: Rate
    seconds: float


@dataclass(slots=True)
class _Bucket:
    """One bucket as this process knows it.

    Attributes:
        rate: Its rate, when it was last used.
        empty_at: On the clock of this process.
        untold: Seconds of it that were taken here and not told yet.
        heard_at: When we last heard what all have taken.
    """

    rate: Rate
    empty_at: float
    untold: float = 0.0
    heard_at: float = -math.inf


class Buckets:
    """All buckets of one process; the least recently used go when there are too many."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, max_keys: int = MAX_KEYS
    ) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._buckets: OrderedDict[Key, _Bucket] = OrderedDict()
        self._news: dict[Key, None] = {}

    @property
    def size(self) -> int:
        """How many buckets are kept."""
        return len(self._buckets)

    def take(self, key: Key, rate: Rate, count: int = 1) -> bool:
        """Take ``count`` if there is room for one of them; False, and nothing is taken, if not."""
        if not rate.most:
            return True
        bucket, now = self._bucket(key, rate), self._clock()
        if _fill(bucket, now) > rate.most - _ROOM:
            return False
        bucket.empty_at = max(bucket.empty_at, now) + count * rate.pace
        bucket.untold += count * rate.pace
        return True

    def give_back(self, key: Key, rate: Rate, count: int = 1) -> None:
        """Take back what was taken and not used; if others know of it, until we hear of them."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.empty_at -= count * rate.pace
            bucket.untold = max(0.0, bucket.untold - count * rate.pace)

    def has_room(self, key: Key, rate: Rate) -> bool:
        """True if there is room for one more; asks what others have taken."""
        if not rate.most:
            return True
        return _fill(self._bucket(key, rate), self._clock()) <= rate.most - _ROOM

    def is_fresh(self, key: Key, within: float) -> bool:
        """True if what all have taken was heard ``within`` so many seconds."""
        bucket = self._buckets.get(key)
        return bucket is not None and self._clock() - bucket.heard_at <= within

    def add(self, key: Key, rate: Rate, count: int = 1) -> int:
        """Count ``count`` more, room or not; return how many are in the bucket now."""
        if not rate.most:
            return 0
        bucket, now = self._bucket(key, rate), self._clock()
        before = max(bucket.empty_at, now)
        most = now + OVERFLOW * rate.period.total_seconds()
        bucket.empty_at = max(before, min(before + count * rate.pace, most))
        bucket.untold += bucket.empty_at - before
        return round(_fill(bucket, now))

    def told(self, most: int = MAX_TOLD) -> list[Told]:
        """Return what is to be told and asked; it counts as told until `untold` says it was not."""
        now, told = self._clock(), []
        for key in tuple(_first(self._news, most)):
            del self._news[key]
            bucket = self._buckets.get(key)
            if bucket is not None:
                # What has run out meanwhile is nothing to anybody.
                seconds = max(0.0, min(bucket.untold, bucket.empty_at - now))
                bucket.untold = 0.0
                told.append(Told(key, bucket.rate, seconds))
        return told

    def untold(self, told: Iterable[Told]) -> None:
        """Take back what did not reach the others, to tell it again."""
        for each in told:
            bucket = self._buckets.get(each.key)
            if bucket is not None:
                bucket.untold += each.seconds
                self._news[each.key] = None

    def learn(self, told: Iterable[Told], left: Mapping[Key, float]) -> None:
        """Believe what all have taken.

        Args:
            told: What we had told, or asked.
            left: Seconds until each of them is empty; one that is missing is empty.
        """
        now = self._clock()
        for each in told:
            bucket = self._buckets.get(each.key)
            if bucket is not None:
                bucket.empty_at = now + left.get(each.key, 0.0) + bucket.untold
                bucket.heard_at = now

    def forget_empty(self, most: int = MAX_FORGOTTEN) -> None:
        """Drop those that are empty among the ``most`` least recently used."""
        now = self._clock()
        for key in tuple(_first(self._buckets, most)):
            if self._buckets[key].empty_at <= now and key not in self._news:
                del self._buckets[key]

    def _bucket(self, key: Key, rate: Rate) -> _Bucket:
        """Return the bucket, which is to be told or asked of with the next exchange."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(rate, self._clock())
            if len(self._buckets) > self._max_keys:
                self._news.pop(self._buckets.popitem(last=False)[0], None)
        else:
            self._buckets.move_to_end(key)
            bucket.rate = rate
        self._news[key] = None
        return bucket


def _fill(bucket: _Bucket, now: float) -> float:
    """Return how many are in the bucket."""
    return max(0.0, bucket.empty_at - now) / bucket.rate.pace


def _first(keys: Iterable[Key], most: int) -> Iterable[Key]:
    """Yield the first ``most``."""
    return (key for key, _ in zip(keys, range(most), strict=False))
