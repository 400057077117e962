"""Counts requests and tokens for Prometheus; labels are keys, models and endpoints, all known and few."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from aiplat.services.gateway.usage import Record

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
        self.in_flight = Gauge("aiplat_gateway_in_flight", "Requests being answered", registry=self.registry)
        self.models = Gauge("aiplat_gateway_models", "Models that can be asked", registry=self.registry)
        self.retries = Counter(
            "aiplat_gateway_retries",
            "Upstream requests tried again before the first byte",
            registry=self.registry,
        )

    def put(self, record: Record) -> None:
        """Add one request."""
        self._requests.labels(record.endpoint, record.model, str(record.status), record.outcome).inc()
        self._seconds.labels(record.endpoint).observe(record.seconds)
        if record.first_byte is not None:
            self._first_byte.labels(record.endpoint).observe(record.first_byte)
        estimated = "true" if record.usage.estimated else "false"
        for kind, count in (("prompt", record.usage.prompt), ("completion", record.usage.completion)):
            if count:
                self._tokens.labels(record.key, record.model, kind, estimated).inc(count)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
