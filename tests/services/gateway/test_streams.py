"""What happens to a stream when one side goes away, and what is counted of it."""

from __future__ import annotations

import httpx
import pytest

from tests.patience import eventually
from tests.services.gateway.conftest import MODEL, MODELS, RunningGateway
from tests.services.gateway.engine import Engine


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
def test_a_client_that_leaves_stops_the_engine(
    http: httpx.Client, gateway: RunningGateway, engine: Engine, path: str
) -> None:
    """The engine's request is cancelled, and what it had written is counted as an estimate."""
    sample = f'aiplat_gateway_requests_total{{endpoint="{path}",model="endless",outcome="client_left"'
    before = gateway.metric(sample)
    with http.stream("POST", path, json={"model": "endless", "messages": [], "stream": True}) as answer:
        # Held by a name: an iterator that is dropped closes the connection at once.
        pieces = answer.iter_raw()
        next(pieces)
        request_id = answer.headers["x-request-id"]
        assert request_id not in engine.cancelled
    assert eventually(lambda: gateway.metric(sample) == before + 1)
    engine.release.set()
    assert eventually(lambda: request_id in engine.cancelled)
    tokens = 'aiplat_gateway_tokens_total{estimated="true",key="site",kind="completion",model="endless"}'
    assert gateway.metric(tokens) >= 1


def test_the_first_frame_arrives_before_the_second_is_made(http: httpx.Client, engine: Engine) -> None:
    """Nothing is held back: the engine waits, and the client already has its frame."""
    with http.stream("POST", "/v1/completions", json={"model": "endless", "stream": True}) as answer:
        pieces = answer.iter_raw()
        first = next(pieces)
        assert first.count(b"data:") == 1
        engine.release.set()


def test_an_engine_that_breaks_off_ends_the_stream_with_an_error_frame(http: httpx.Client) -> None:
    """A client must not take half an answer for a whole one."""
    answer = http.post("/v1/chat/completions", json={"model": "breaks", "messages": [], "stream": True})
    assert answer.status_code == 200
    assert '"upstream_failed"' in answer.text.split("\n\n")[-2]
    assert "[DONE]" not in answer.text


def test_an_engine_that_breaks_off_ends_ollamas_stream_with_an_error_line(http: httpx.Client) -> None:
    """The same in Ollama's form."""
    answer = http.post("/api/chat", json={"model": "breaks", "messages": []})
    assert answer.text.splitlines()[-1].startswith('{"error":')


def test_a_connection_that_drops_before_the_first_byte_is_tried_again(
    http: httpx.Client, gateway: RunningGateway, engine: Engine
) -> None:
    """Nothing was answered yet, so asking again loses and doubles nothing."""
    before = gateway.metric("aiplat_gateway_retries_total")
    engine.drop_next(2)
    assert http.post("/v1/completions", json={"model": MODEL, "prompt": "x"}).status_code == 200
    assert len(engine.seen) == 3
    assert gateway.metric("aiplat_gateway_retries_total") == before + 2


def test_an_engine_that_always_drops_is_502(http: httpx.Client, engine: Engine) -> None:
    """After the last try the client is told, with Retry-After."""
    engine.drop_next(4)
    answer = http.post("/v1/completions", json={"model": MODEL, "prompt": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert answer.headers["retry-after"] == "1"


def test_nothing_stays_in_flight(http: httpx.Client, gateway: RunningGateway) -> None:
    """Whatever happened, the gauge of requests under way goes back to zero for every model."""
    for name in MODELS:
        sample = f'aiplat_gateway_in_flight{{model="{name}"}}'
        assert eventually(lambda sample=sample: gateway.metric(sample) == 0)
