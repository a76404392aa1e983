"""Metrics: the only door to prometheus_client.

Declare them at the head of the file that moves them, as
``posthouse_<station>_<things>_total``, in base units, with labels from closed sets (never a
domain or an address). Children are kept, so that ``.labels(x).inc()`` costs a dictionary lookup.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

import prometheus_client
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

M = TypeVar("M", bound=MetricWrapperBase)


class _Labelled(Generic[M]):
    """A metric with its children kept by their label values."""

    def __init__(self, metric: M) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], M] = {}

    def _child(self, values: tuple[str, ...]) -> M:
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._metric.labels(*values)
        return child


class Counter(_Labelled[prometheus_client.Counter]):
    """What only grows."""

    def labels(self, *values: str) -> prometheus_client.Counter:
        """Return the child for these label values, in the order of the declaration."""
        return self._child(values)

    def inc(self, amount: float = 1) -> None:
        """Count ``amount`` more; only for a counter without labels."""
        self._metric.inc(amount)


class Gauge(_Labelled[prometheus_client.Gauge]):
    """What goes up and down."""

    def labels(self, *values: str) -> prometheus_client.Gauge:
        """Return the child for these label values, in the order of the declaration."""
        return self._child(values)

    def set(self, value: float) -> None:
        """Set it; only for a gauge without labels."""
        self._metric.set(value)

    def inc(self, amount: float = 1) -> None:
        """Add to it; only for a gauge without labels."""
        self._metric.inc(amount)

    def dec(self, amount: float = 1) -> None:
        """Take from it; only for a gauge without labels."""
        self._metric.dec(amount)


class Spread:
    """One child of a histogram: how often each bucket was hit, and the sum of all values.

    prometheus_client's own looks at one bucket after the other and takes two locks, which costs
    three times as much; here values are observed on the event loop alone, and need none.
    """

    __slots__ = ("_bounds", "hits", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.hits = [0] * (len(bounds) + 1)  # the last one is above all bounds
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Take in one value."""
        self.hits[bisect_left(self._bounds, value)] += 1
        self.total += value


class Histogram(Collector):
    """How something is spread; to be moved on the event loop only."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._bounds = tuple(bounds)
        self._children: dict[tuple[str, ...], Spread] = {}
        if not labels:
            self._children[()] = Spread(self._bounds)
        prometheus_client.REGISTRY.register(self)

    def labels(self, *values: str) -> Spread:
        """Return the child for these label values, in the order of the declaration."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has {len(self._labels)} labels")
            child = self._children[values] = Spread(self._bounds)
        return child

    def observe(self, value: float) -> None:
        """Take in one value; only for a histogram without labels."""
        self.labels().observe(value)

    def describe(self) -> Iterable[Metric]:
        """Say the name, so that no other metric takes it."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterable[Metric]:
        """Return what was observed; a bucket holds what is at most its bound."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        for values, child in tuple(self._children.items()):
            counts = zip(bounds, accumulate(child.hits), strict=True)
            family.add_metric(values, buckets=list(counts), sum_value=child.total)
        yield family


def counter(name: str, text: str, *labels: str) -> Counter:
    """Declare a counter; ``name`` ends in ``_total``."""
    return Counter(prometheus_client.Counter(name, text, labels))


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """Declare a gauge."""
    return Gauge(prometheus_client.Gauge(name, text, labels))


def histogram(name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
    """Declare a histogram; seconds by default."""
    return Histogram(name, text, labels, buckets)


CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


def exposition() -> bytes:
    """Return all metrics of this process in the text format of Prometheus."""
    return prometheus_client.generate_latest()
