"""vLLM serves in the lab from a bundle made of packages: chat, completion, embeddings, an adapter, tools."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]
QUESTION = {"role": "user", "content": "Name the capital of Italy."}
LOOK_UP = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a word up.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": False,
        },
    },
}


def model(name: str, **spec: Any) -> str:
    """Return a Model of the random weights as people write it."""
    weights = {"name": name, "source": {"catalogue": "random-llama:1m"}, "engine": "vllm"}
    metadata = {"name": name, "namespace": "default"}
    document = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Model", "metadata": metadata}
    return json.dumps({**document, "spec": weights | spec})


def models(adapter: str) -> str:
    """Return one that continues texts and has an adapter, one that makes vectors, one that asks too much."""
    small = {"requests": {"cpu": "250m", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
    served: dict[str, Any] = {"contextLength": 1024, "resources": small}
    return "\n---\n".join(
        (
            model("talker", adapters=[{"name": "tuned", "image": adapter}], **served),
            model("vectors", features=["embedding"], **served),
            model("long", contextLength=32768),
        )
    )


def weights(journey: Journey, name: str) -> str:
    """Return the reference by digest of a model of the bundle, by the last part of its name."""
    lock = json.loads((journey.bundle() / "bundle.json").read_text())["lock"]
    found = next(a for a in lock["artifacts"] if a["kind"] == "model" and a["name"].endswith(f"/{name}"))
    return f"{found['name']}:{found['version']}@{found['digest']}"


def status(journey: Journey, name: str) -> dict[str, Any]:
    """Return what the cluster says of a Model."""
    said = journey.on_host(f"k3s kubectl -n default get models.aiplat.dev {name} -o json")
    return dict(json.loads(said).get("status", {}))


def until(journey: Journey, name: str, phase: str) -> dict[str, Any]:
    """Wait until a Model stands as wanted; an engine starts in minutes on a loaded machine."""
    deadline = time.monotonic() + 1200
    while (seen := status(journey, name)).get("phase") != phase:
        assert time.monotonic() < deadline, seen
        assert seen.get("phase") != "Failing", seen
        time.sleep(2)
    return seen


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """One host with the platform, vLLM and the weights; Models are applied as people do it."""
    journey = make_journey("vllm")
    journey.bootstrap()
    text = models(weights(journey, "random-lora"))
    journey.on_host(f"k3s kubectl apply -f - <<'END'\n{text}\nEND")
    for name in ("talker", "vectors"):
        until(journey, name, "Serving")
    return journey


def chat(journey: Journey, **more: Any) -> dict[str, Any]:
    """Return the answer of the gateway to a chat."""
    body: dict[str, Any] = {"model": "talker", "messages": [QUESTION], "temperature": 0, "max_tokens": 12}
    with journey.platform() as client:
        answer = client.post("chat/completions", json={**body, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def said(answer: dict[str, Any]) -> str:
    """Return the text of an answer to a chat."""
    return str(answer["choices"][0]["message"]["content"])


def test_it_answers_a_chat_and_counts_its_tokens(ward: Journey) -> None:
    """Random weights always say the same."""
    first, second = chat(ward), chat(ward)
    assert said(first)
    assert said(first) == said(second)
    assert 0 < first["usage"]["completion_tokens"] <= 12


def test_it_streams(ward: Journey) -> None:
    """Pieces that together are the answer in one."""
    body = {"model": "talker", "messages": [QUESTION], "temperature": 0, "max_tokens": 12, "stream": True}
    with ward.platform() as client, client.stream("POST", "chat/completions", json=body) as answer:
        assert answer.status_code == 200
        events = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == said(chat(ward))


def test_it_continues_a_text(ward: Journey) -> None:
    """The endpoint for completions."""
    body = {"model": "talker", "prompt": "Once upon a time", "temperature": 0, "max_tokens": 8}
    with ward.platform() as client:
        answer = client.post("completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["text"]


def test_an_adapter_answers_under_its_own_name(ward: Journey) -> None:
    """It is listed, and says something else than the weights below it."""
    with ward.platform() as client:
        listed = [model["id"] for model in client.get("models").json()["data"]]
    assert {"talker", "tuned", "vectors"} <= set(listed)
    assert said(chat(ward, model="tuned")) != said(chat(ward))


def test_a_tool_is_called_in_openai_s_format(ward: Journey) -> None:
    """A call that is asked for has the tool's name and arguments of its schema, whatever the weights say."""
    named = {"type": "function", "function": {"name": "look_up"}}
    answer = chat(ward, tools=[LOOK_UP], tool_choice=named, max_tokens=400)
    calls = answer["choices"][0]["message"]["tool_calls"]
    assert calls
    assert calls[0]["type"] == "function"
    assert calls[0]["function"]["name"] == "look_up"
    assert isinstance(json.loads(calls[0]["function"]["arguments"])["n"], int)


def test_it_answers_embeddings(ward: Journey) -> None:
    """A Model that is for embeddings alone gets an engine that makes vectors of the weights' width."""
    with ward.platform() as client:
        answer = client.post("embeddings", json={"model": "vectors", "input": ["a winter evening", "a cat"]})
    assert answer.status_code == 200, answer.text
    one, other = (entry["embedding"] for entry in answer.json()["data"])
    assert len(one) == len(other) == 128
    assert one != other


def test_more_context_than_the_model_has_is_refused(ward: Journey) -> None:
    """With both numbers, before anything is started."""
    refused = until(ward, "long", "Refused")
    assert "asks 32768 tokens of context, the model has 2048" in refused["message"]


def test_the_engine_tells_nobody_and_has_no_libraries_of_gpus(ward: Journey) -> None:
    """Statistics are off, the hub is off, and what a processor never calls is not there."""
    inside = "k3s kubectl -n aiplat-model exec deploy/model-talker --"
    found = ward.on_host(f"{inside} sh -c 'env; find /opt/vllm -name \"*cublas*\" -size +1M'")
    assert "VLLM_NO_USAGE_STATS=1" in found
    assert "HF_HUB_OFFLINE=1" in found
    assert not re.search(r"^/opt/vllm", found, re.MULTILINE)


def test_a_second_run_changes_nothing(ward: Journey) -> None:
    """Neither on the host nor in the cluster."""
    assert ward.bootstrap()["changed"] == 0
