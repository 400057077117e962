"""Sums over requests for Prometheus, added up in plain numbers and made into samples when somebody asks."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from aiplat.services.gateway.requests.usage import RequestRecord

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_BOUNDS = (*map(str, map(float, _SECONDS)), "+Inf")


class _Sum:
    __slots__ = ("created", "value")

    def __init__(self) -> None:
        self.created, self.value = time.time(), 0


class _Times:
    """Times by the bucket that they fall into."""

    __slots__ = ("counts", "created", "seconds")

    def __init__(self) -> None:
        self.created, self.seconds = time.time(), 0.0
        self.counts = [0] * len(_BOUNDS)

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_SECONDS, seconds)] += 1
        self.seconds += seconds


class RequestSums(Collector):
    """Requests, tokens and times; as many as there are keys, models and endpoints.

    The library's own counters check their labels and take a lock each time, which for the seven numbers of a
    request takes several times as long as adding them up. All requests are answered in one thread.
    """

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int, str], _Sum] = defaultdict(_Sum)
        self._tokens: dict[tuple[str, str, str, bool], _Sum] = defaultdict(_Sum)
        self._seconds: dict[str, _Times] = defaultdict(_Times)
        self._first_byte: dict[str, _Times] = defaultdict(_Times)

    def add(self, record: RequestRecord) -> None:
        """Add one request."""
        key, model, endpoint, status, outcome, seconds, first_byte, usage = record
        self._requests[endpoint, model, status, outcome].value += 1
        self._seconds[endpoint].add(seconds)
        if first_byte is not None:
            self._first_byte[endpoint].add(first_byte)
        if usage.prompt:
            self._tokens[key, model, "prompt", usage.estimated].value += usage.prompt
        if usage.completion:
            self._tokens[key, model, "completion", usage.estimated].value += usage.completion

    def collect(self) -> Iterator[Metric]:
        """Yield two counters and two histograms."""
        requests = CounterMetricFamily(
            "aiplat_gateway_requests",
            "Requests by how they ended",
            labels=("endpoint", "model", "status", "outcome"),
        )
        for (endpoint, model, status, outcome), found in self._requests.items():
            requests.add_metric((endpoint, model, str(status), outcome), found.value, created=found.created)
        tokens = CounterMetricFamily(
            "aiplat_gateway_tokens",
            "Tokens; estimated ones were counted by frames because the engine's own count never came",
            labels=("key", "model", "kind", "estimated"),
        )
        for (key, model, kind, estimated), found in self._tokens.items():
            labels = (key, model, kind, "true" if estimated else "false")
            tokens.add_metric(labels, found.value, created=found.created)
        yield from (requests, tokens)
        arrival = "From the request's arrival to the answer's"
        yield _histogram("request_seconds", f"{arrival} last byte", self._seconds)
        yield _histogram("first_byte_seconds", f"{arrival} first byte", self._first_byte)


def _histogram(name: str, text: str, times: Mapping[str, _Times]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"aiplat_gateway_{name}", text, labels=("endpoint",))
    for endpoint, found in times.items():
        buckets = list(zip(_BOUNDS, accumulate(found.counts), strict=True))
        family.add_metric((endpoint,), buckets, found.seconds)
        family.add_sample(f"{family.name}_created", {"endpoint": endpoint}, found.created)
    return family
