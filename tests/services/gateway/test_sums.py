"""Sums over requests, as Prometheus reads them."""

from __future__ import annotations

import pytest

from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.requests.usage import RequestRecord, TokenUsage


def record(seconds: float, first_byte: float | None = None, usage: TokenUsage | None = None) -> RequestRecord:
    """Return a request of one key and model."""
    return RequestRecord("k", "m", "/", 200, "done", seconds, first_byte, usage or TokenUsage())


@pytest.mark.parametrize(
    ("seconds", "below", "bucket"),
    [(0.005, None, "0.005"), (0.0051, "0.005", "0.01"), (301, "300.0", "+Inf")],
)
def test_a_time_counts_in_every_bucket_that_holds_it(seconds: float, below: str | None, bucket: str) -> None:
    """A bound belongs to its bucket; the last bucket has none."""
    metrics = Metrics()
    metrics.put(record(seconds))
    said = metrics.text().decode()
    name = "aiplat_gateway_request_seconds"
    assert f'{name}_bucket{{endpoint="/",le="{bucket}"}} 1.0' in said
    assert f'{name}_bucket{{endpoint="/",le="+Inf"}} 1.0' in said
    assert below is None or f'{name}_bucket{{endpoint="/",le="{below}"}} 0.0' in said
    assert f'{name}_count{{endpoint="/"}} 1.0' in said
    assert f'{name}_sum{{endpoint="/"}} {float(seconds)}' in said


def test_what_did_not_occur_has_no_sample() -> None:
    """Neither tokens that were not used nor a first byte that was not sent; estimated ones are told apart."""
    metrics = Metrics()
    metrics.put(record(1))
    said = metrics.text().decode()
    assert "aiplat_gateway_tokens_total{" not in said
    assert "aiplat_gateway_first_byte_seconds_count{" not in said
    metrics.put(record(1, 0.5, TokenUsage(3, 2)))
    metrics.put(record(1, 0.5, TokenUsage(4, 0, estimated=True)))
    said = metrics.text().decode()
    tokens = 'aiplat_gateway_tokens_total{estimated="%s",key="k",kind="%s",model="m"} %s'
    for counted in (("false", "prompt", 3.0), ("false", "completion", 2.0), ("true", "prompt", 4.0)):
        assert tokens % counted in said
    requests = 'aiplat_gateway_requests_total{endpoint="/",model="m",outcome="done",status="200"} 3.0'
    assert requests in said
