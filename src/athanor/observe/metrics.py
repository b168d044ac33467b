"""Counters, gauges and histograms in Prometheus' text format, and nothing more.

Written here because `prometheus_client` keeps a registry for the whole process. Every metric has a bound on its
label sets: what comes beyond it is counted under `other`, so that a caller cannot fill the memory with names.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

MAX_SERIES = 100
"""Label sets of one metric; beyond it, all labels become `other`."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets of a duration."""


class _Metric:
    kind = "untyped"

    def __init__(self, name: str, about: str, labels: tuple[str, ...] = ()) -> None:
        self.name = name
        self._about = about
        self._labels = labels
        self._lock = threading.Lock()

    def lines(self) -> Iterator[str]:
        """The metric as text, line by line."""
        yield f"# HELP {self.name} {_escape(self._about)}"
        yield f"# TYPE {self.name} {self.kind}"
        yield from self._samples()

    def _samples(self) -> Iterator[str]:
        raise NotImplementedError

    def _key(self, known: dict[tuple[str, ...], M], values: dict[str, str]) -> tuple[str, ...]:
        if values.keys() != set(self._labels):
            raise ValueError(f"{self.name} has the labels {self._labels}, not {tuple(values)}.")
        key = tuple(values[label] for label in self._labels)
        full = key not in known and len(known) >= MAX_SERIES
        return ("other",) * len(key) if full else key

    def _sample(self, suffix: str, key: tuple[str, ...], value: float, **extra: str) -> str:
        pairs = [*zip(self._labels, key, strict=True), *extra.items()]
        inside = ",".join(f'{label}="{_escape(text, quotes=True)}"' for label, text in pairs)
        return (
            f"{self.name}{suffix}{{{inside}}} {_number(float(value))}"
            if pairs
            else f"{self.name}{suffix} {_number(float(value))}"
        )


class Counter(_Metric):
    """A number that only grows."""

    kind = "counter"

    def __init__(self, name: str, about: str, labels: tuple[str, ...]) -> None:
        super().__init__(name, about, labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, amount: float = 1, **labels: str) -> None:
        """Grow by `amount`.

        Raises:
            ValueError: the labels are not those of the metric.
        """
        with self._lock:
            key = self._key(self._values, labels)
            self._values[key] = self._values.get(key, 0.0) + amount

    def bind(self, **labels: str) -> Callable[[float], None]:
        """`add` for these labels, without looking them up each time.

        Raises:
            ValueError: the labels are not those of the metric.
        """
        with self._lock:
            key = self._key(self._values, labels)
            self._values.setdefault(key, 0.0)

        def add(amount: float) -> None:
            with self._lock:
                self._values[key] += amount

        return add

    def _samples(self) -> Iterator[str]:
        with self._lock:
            values = sorted(self._values.items())
        for key, value in values:
            yield self._sample("", key, value)


class Gauge(_Metric):
    """A number that is read when someone looks."""

    kind = "gauge"

    def __init__(self, name: str, about: str, read: Callable[[], float]) -> None:
        super().__init__(name, about)
        self._read = read

    def _samples(self) -> Iterator[str]:
        try:
            value = float(self._read())
        except Exception:  # a broken gauge must not take all the others away
            return
        yield self._sample("", (), value)


class Histogram(_Metric):
    """Counts of values by size."""

    kind = "histogram"

    def __init__(self, name: str, about: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> None:
        super().__init__(name, about, labels)
        self._buckets = tuple(sorted(buckets))
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, value: float, **labels: str) -> None:
        """Count one value.

        Raises:
            ValueError: the labels are not those of the metric.
        """
        self.bind(**labels)(value)

    def bind(self, **labels: str) -> Callable[[float], None]:
        """`observe` for these labels, without looking them up each time.

        Raises:
            ValueError: the labels are not those of the metric.
        """
        with self._lock:
            key = self._key(self._sums, labels)
            counts = self._counts.setdefault(key, [0] * (len(self._buckets) + 1))
            self._sums.setdefault(key, 0.0)

        def observe(value: float) -> None:
            with self._lock:
                counts[bisect_left(self._buckets, value)] += 1
                self._sums[key] += value

        return observe

    def _samples(self) -> Iterator[str]:
        with self._lock:
            rows = [(key, list(counts), self._sums[key]) for key, counts in sorted(self._counts.items())]
        for key, counts, total in rows:
            below = 0
            for bound, count in zip(
                ("+Inf" if b is None else f"{b:g}" for b in (*self._buckets, None)), counts, strict=True
            ):
                below += count
                yield self._sample("_bucket", key, below, le=bound)
            yield self._sample("_sum", key, total)
            yield self._sample("_count", key, below)


M = TypeVar("M")
_Kind = TypeVar("_Kind", bound=_Metric)


class Metrics:
    """All metrics of one application."""

    def __init__(self) -> None:
        self._metrics: dict[str, _Metric] = {}

    def counter(self, name: str, about: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only grows. The same name gives the same counter.

        Raises:
            ValueError: the name is that of another kind of metric.
        """
        return self._add(Counter(name, about, tuple(labels)))

    def histogram(
        self, name: str, about: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """Counts of values by size. The same name gives the same histogram.

        Raises:
            ValueError: the name is that of another kind of metric.
        """
        return self._add(Histogram(name, about, tuple(labels), tuple(buckets)))

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> Gauge:
        """A number that is read when someone looks. While `read` raises, its sample is left out.

        Raises:
            ValueError: the name is that of another kind of metric.
        """
        return self._add(Gauge(name, about, read))

    def render(self) -> str:
        """Everything, as `text/plain; version=0.0.4`."""
        return "".join(f"{line}\n" for metric in list(self._metrics.values()) for line in metric.lines())

    def _add(self, metric: _Kind) -> _Kind:
        known = self._metrics.setdefault(metric.name, metric)
        if not isinstance(known, type(metric)):
            raise ValueError(f"{metric.name} is a {known.kind} already.")
        return known


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _escape(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
