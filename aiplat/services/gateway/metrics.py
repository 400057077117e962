"""Counts requests and tokens for Prometheus; labels are keys, models and endpoints, all known and few."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from aiplat.services.gateway.requests.usage import RequestRecord
from aiplat.services.gateway.routing.replicas import Pools

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """A usage sink that adds up; its size depends on how many keys and models there are, not on traffic."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "aiplat_gateway_requests",
            "Requests by how they ended",
            ["endpoint", "model", "status", "outcome"],
            registry=self.registry,
        )
        self._tokens = Counter(
            "aiplat_gateway_tokens",
            "Tokens; estimated ones were counted by frames because the engine's own count never came",
            ["key", "model", "kind", "estimated"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "aiplat_gateway_request_seconds",
            "From the request's arrival to the answer's last byte",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._first_byte = Histogram(
            "aiplat_gateway_first_byte_seconds",
            "From the request's arrival to the answer's first byte",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self.registry,
        )
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

    def put(self, record: RequestRecord) -> None:
        """Add one request."""
        _of(self._requests, record.endpoint, record.model, str(record.status), record.outcome).inc()
        _of(self._seconds, record.endpoint).observe(record.seconds)
        if record.first_byte is not None:
            _of(self._first_byte, record.endpoint).observe(record.first_byte)
        estimated = "true" if record.usage.estimated else "false"
        for kind, count in (("prompt", record.usage.prompt), ("completion", record.usage.completion)):
            if count:
                _of(self._tokens, record.key, record.model, kind, estimated).inc(count)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


_M = TypeVar("_M", Counter, Histogram)


@lru_cache(maxsize=4096)
def _of(metric: _M, *values: str) -> _M:
    # `labels` takes a lock and makes strings of its arguments again on every request.
    return metric.labels(*values)


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
