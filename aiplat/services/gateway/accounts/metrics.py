"""Counts refusals, costs and what becomes of usage, for Prometheus; requests and tokens are in metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_NANO = 1_000_000_000


class AccountMetrics:
    """Grows with keys and models, not with traffic."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._refused = Counter(
            "aiplat_gateway_refused",
            "Requests refused by scope, rate, budget or outage, by the error's code",
            ["code"],
            registry=registry,
        )
        self._cost = Counter(
            "aiplat_gateway_cost", "Money, in the site's currency", ["key", "model"], registry=registry
        )
        self._usage = Counter(
            "aiplat_gateway_usage_records",
            "Usage and audit records: written, spooled to disk, replayed from there, rejected, lost",
            ["fate"],
            registry=registry,
        )
        for fate in ("written", "spooled", "replayed", "rejected", "lost"):
            self._usage.labels(fate)

    def refused(self, code: str) -> None:
        """Count a refusal."""
        self._refused.labels(code).inc()

    def cost(self, key: str, model: str, billionths: int) -> None:
        """Count what a request cost."""
        if billionths:
            self._cost.labels(key, model).inc(billionths / _NANO)

    def usage(self, fate: str, count: int) -> None:
        """Count records by what became of them."""
        self._usage.labels(fate).inc(count)

    def show(self, look: Callable[[], tuple[bool, int, int]]) -> None:
        """Have gauges of `look`: whether the database answers, records in memory, bytes on disk."""
        self._registry.register(_Gauges(look))


class _Gauges(Collector):
    def __init__(self, look: Callable[[], tuple[bool, int, int]]) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the three gauges."""
        up, queued, spooled = self._look()
        yield _gauge("database_up", "Whether the database answered last time", int(up))
        yield _gauge("usage_queued", "Usage records in memory", queued)
        yield _gauge("usage_spooled_bytes", "Bytes of usage on disk that wait for the database", spooled)


def _gauge(name: str, text: str, value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"aiplat_gateway_{name}", text, value=value)
