"""Each engine of the catalogue that can be built serves a Model in the lab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]
ENGINES = ("ollama", "llama-cpp")
QUESTION = {"role": "user", "content": "Name the capital of Italy."}


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """One host with both engines and a Model of each."""
    journey = make_journey("engines")
    journey.bootstrap()
    for engine in ENGINES:
        words = ("--site", str(journey.site_file), "--from", "smollm2:135m", "--engine", engine)
        journey.aiplat("model", "deploy", f"small-{engine}", *words, "--timeout", "600")
    return journey


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_of_each_engine_answers_a_chat(ward: Journey, engine: str) -> None:
    """The same weights, one conversation, through the gateway."""
    body: dict[str, Any] = {"model": f"small-{engine}", "messages": [QUESTION]}
    with ward.platform() as client:
        answer = client.post("chat/completions", json={**body, "temperature": 0, "seed": 1, "max_tokens": 24})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"].strip()
    assert answer.json()["usage"]["completion_tokens"]


def test_llama_cpp_answers_an_embedding(ward: Journey) -> None:
    """A vector of the model's width."""
    with ward.platform() as client:
        answer = client.post("embeddings", json={"model": "small-llama-cpp", "input": "a winter evening"})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"][0]["embedding"]) == 576


def test_a_path_that_an_engine_does_not_have_is_refused_by_name(ward: Journey) -> None:
    """llama.cpp has nothing of Ollama's API."""
    with ward.platform() as client:
        address = str(client.base_url).removesuffix("/v1/") + "/api/chat"
        answer = client.post(address, json={"model": "small-llama-cpp", "messages": [QUESTION]})
    assert answer.status_code == 400
    assert "served by llama-cpp" in answer.text
