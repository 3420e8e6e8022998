"""What /metrics says: requests by operation and outcome, how long they took, and what waits in the outbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import prometheus_client as prometheus
from prometheus_client import exposition

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure read when /metrics is asked: `lienthong_<name>{labels} value`."""

    name: str
    meaning: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


Gauges = Callable[[], Awaitable[Iterable[Gauge]]]


class Figures:
    """The figures of one gateway process."""

    def __init__(self, gauges: Gauges | None = None) -> None:
        self._registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Counter(
            "lienthong_requests",
            "Requests answered, by operation and outcome",
            ("operation", "outcome"),
            registry=self._registry,
        )
        self._durations = prometheus.Histogram(
            "lienthong_request_seconds",
            "Time from a request's first byte to its answer",
            ("operation",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._gauges = gauges
        self._counts: dict[tuple[str, str], prometheus.Counter] = {}
        self._timers: dict[str, prometheus.Histogram] = {}

    def count(self, operation: str, outcome: str, took_s: float) -> None:
        """Take one request into the figures."""
        place = (operation, outcome)
        counter = self._counts.get(place)
        if counter is None:
            counter = self._counts[place] = self._requests.labels(operation, outcome)
        counter.inc()
        timer = self._timers.get(operation)
        if timer is None:
            timer = self._timers[operation] = self._durations.labels(operation)
        timer.observe(took_s)

    async def text(self) -> bytes:
        """Write all figures in the form that Prometheus reads."""
        read = [] if self._gauges is None else list(await self._gauges())
        return exposition.generate_latest(self._registry) + _write(read)


def _write(gauges: Iterable[Gauge]) -> bytes:
    registry = prometheus.CollectorRegistry()
    made: dict[str, prometheus.Gauge] = {}
    for gauge in gauges:
        names = tuple(gauge.labels)
        if gauge.name not in made:
            made[gauge.name] = prometheus.Gauge(f"lienthong_{gauge.name}", gauge.meaning, names, registry=registry)
        target = made[gauge.name]
        (target.labels(*gauge.labels.values()) if names else target).set(gauge.value)
    return exposition.generate_latest(registry)
