"""Metrics: the only door to prometheus_client.

Declare them at the head of the file that moves them, as
``posthouse_<station>_<things>_total``, in base units, with labels from closed sets (never a
domain or an address). Children are kept, so that ``.labels(x).inc()`` costs a dictionary lookup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import prometheus_client
from prometheus_client.metrics import MetricWrapperBase

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


class Histogram(_Labelled[prometheus_client.Histogram]):
    """How something is spread."""

    def labels(self, *values: str) -> prometheus_client.Histogram:
        """Return the child for these label values, in the order of the declaration."""
        return self._child(values)

    def observe(self, value: float) -> None:
        """Take in one value; only for a histogram without labels."""
        self._metric.observe(value)


def counter(name: str, text: str, *labels: str) -> Counter:
    """Declare a counter; ``name`` ends in ``_total``."""
    return Counter(prometheus_client.Counter(name, text, labels))


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """Declare a gauge."""
    return Gauge(prometheus_client.Gauge(name, text, labels))


def histogram(name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
    """Declare a histogram; seconds by default."""
    return Histogram(prometheus_client.Histogram(name, text, labels, buckets=tuple(buckets)))


CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


def exposition() -> bytes:
    """Return all metrics of this process in the text format of Prometheus."""
    return prometheus_client.generate_latest()
