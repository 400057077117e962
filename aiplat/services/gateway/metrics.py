"""Counts requests and tokens for Prometheus; labels are keys, models and endpoints, all known and few."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from aiplat.services.gateway.requests.sums import RequestSums
from aiplat.services.gateway.routing.replicas import Pools


class Metrics:
    """A usage sink that adds up; its size depends on how many keys and models there are, not on traffic."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sums = RequestSums()
        self.registry.register(self._sums)
        # For everyone to call: one step less on the way of every request.
        self.put = self._sums.add
        self.models = Gauge("aiplat_gateway_models", "Models that can be asked", registry=self.registry)
        self._retries = Counter(
            "aiplat_gateway_retries",
            "Upstream requests tried again before the first byte",
            registry=self.registry,
        )
        self._fallbacks = Counter(
            "aiplat_gateway_fallbacks",
            "Requests that another model answered than the one that was asked",
            ["model", "answered_by"],
            registry=self.registry,
        )

        self._providers = Counter(
            "aiplat_gateway_provider_answers",
            "Answers of providers by their HTTP status; their errors are told to clients in other words",
            ["model", "provider", "status"],
            registry=self.registry,
        )

        self._restarts = Counter(
            "aiplat_gateway_task_restarts",
            "Tasks in the background that failed and were begun again",
            ["task"],
            registry=self.registry,
        )

        self._certificate: Gauge | None = None

    def certificate_ends(self, at: float) -> None:
        """Show when the certificate ends; a gateway without one shows nothing."""
        if self._certificate is None:
            text = "When the certificate ends; 0 where it has ended"
            name = "aiplat_gateway_certificate_ends_timestamp_seconds"
            self._certificate = Gauge(name, text, registry=self.registry)
        self._certificate.set(at)

    def restarted(self, task: str) -> None:
        """Count a task in the background that was begun again."""
        self._restarts.labels(task).inc()

    def provider_answered(self, model: str, provider: str, status: int) -> None:
        """Count a provider's answer."""
        self._providers.labels(model, provider, str(status)).inc()

    def show_pools(self, pools: Pools) -> None:
        """Have load and replicas of every model among the samples; an autoscaler reads these."""
        self.registry.register(_PoolSamples(pools))

    def retried(self) -> None:
        """Count a retry."""
        self._retries.inc()

    def fallbacks(self, asked: str, answered: str) -> None:
        """Count a fallback."""
        self._fallbacks.labels(asked, answered).inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _PoolSamples(Collector):
    """Read off the pools when somebody asks: requests themselves pay nothing for it."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield four gauges with a sample for every model of the table, zeros included."""
        in_flight = _gauge("in_flight", "Requests that an upstream is answering", "model")
        waiting = _gauge("waiting", "Requests held because the model has no ready replica", "model")
        asked = _gauge("asked_timestamp_seconds", "When the model was asked last; 0 for never", "model")
        replicas = _gauge("replicas", "Replicas by whether they are used or set aside", "model", "state")
        now = time.monotonic()
        for pool in self._pools:
            name, aside = pool.model.name, sum(r.aside_until > now for r in pool.replicas)
            in_flight.add_metric([name], pool.in_flight)
            waiting.add_metric([name], pool.waiting)
            asked.add_metric([name], pool.asked_at)
            replicas.add_metric([name, "used"], len(pool.replicas) - aside)
            replicas.add_metric([name, "aside"], aside)
        yield from (in_flight, waiting, asked, replicas)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"aiplat_gateway_{name}", text, labels=labels)
