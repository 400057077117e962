"""Ollama's API: what may be used, and that nothing may be changed."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.services.gateway.conftest import MODEL, RunningGateway
from tests.services.gateway.engine import Engine


def test_generate_streams_lines(http: httpx.Client, engine: Engine) -> None:
    """Streaming is Ollama's default; the lines pass as they are."""
    answer = http.post("/api/generate", json={"model": "gemma3:270m", "prompt": "1, 2, 3, 4,"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert "".join(line["response"] for line in lines) == " 5, 6, 7"
    assert lines[-1]["eval_count"] == 5
    assert engine.asked("/api/generate")[0]["model"] == MODEL


def test_ollamas_counts_are_counted(http: httpx.Client, gateway: RunningGateway) -> None:
    """Prompt and completion tokens are read from the last line."""
    sample = f'aiplat_gateway_tokens_total{{estimated="false",key="site",kind="prompt",model="{MODEL}"}}'
    before = gateway.metric(sample)
    http.post("/api/chat", json={"model": MODEL, "messages": []})
    http.post("/api/generate", json={"model": MODEL, "prompt": "x", "stream": False})
    http.post("/api/embed", json={"model": MODEL, "input": "x"})
    assert gateway.metric(sample) == before + 11 + 11 + 3


def test_keep_alive_is_the_sites_to_decide(http: httpx.Client, engine: Engine) -> None:
    """A client cannot unload a model that others use."""
    http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
    assert engine.asked("/api/generate") == [{"model": MODEL}]


LOADING = {"num_ctx": 131072, "num_gpu": 0, "main_gpu": 1, "num_thread": 1, "num_batch": 1, "use_mmap": False}


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed"])
def test_options_that_load_a_model_again_are_left_out(http: httpx.Client, engine: Engine, path: str) -> None:
    """One client would have everybody wait for it; what it asks of its answer alone stays, and it is told."""
    more = {"low_vram": True, "some_later_option": 1}
    options = {"temperature": 0.5, "num_predict": 3, "seed": 1, **LOADING, **more}
    document = {"model": MODEL, "stream": False, "keep_alive": "1h", "options": options}
    answer = http.post(path, json=document)
    assert answer.status_code == 200
    assert engine.asked(path)[-1]["options"] == {"temperature": 0.5, "num_predict": 3, "seed": 1}
    left_out = answer.headers["x-aiplat-left-out"].split(", ")
    assert left_out == ["keep_alive", *(f"options.{name}" for name in {**LOADING, **more})]
    plain = http.post(path, json={"model": MODEL, "options": {"seed": 1}, "stream": False})
    assert "x-aiplat-left-out" not in plain.headers


def test_a_name_of_an_option_cannot_end_the_header(http: httpx.Client) -> None:
    """It is the client's own text, and goes into the answer's head."""
    answer = http.post(
        "/api/generate", json={"model": MODEL, "options": {"a\r\nx: 1\u00e9": 1}, "stream": False}
    )
    assert answer.headers["x-aiplat-left-out"] == "options.a??x: 1?"


def test_tags_show_each_model_once(http: httpx.Client) -> None:
    """The model's alias is not a second entry, and what is not the site's is not shown."""
    names = [m["name"] for m in http.get("/api/tags").json()["models"]]
    assert names.count(MODEL) == 1
    assert "gemma3:270m" not in names
    assert "not-the-sites" not in names
    assert "vllm-model" not in names


def test_a_model_whose_engine_is_down_is_still_listed(http: httpx.Client) -> None:
    """It exists; it only cannot tell its details."""
    entries = {m["name"]: m for m in http.get("/api/tags").json()["models"]}
    assert entries["down"] == {"name": "down", "model": "down"}
    assert entries[MODEL]["details"] == {"family": "gemma3"}


def test_ps_shows_only_what_is_in_memory(http: httpx.Client) -> None:
    """A model whose engine is down is not running."""
    names = [m["name"] for m in http.get("/api/ps").json()["models"]]
    assert MODEL in names
    assert "down" not in names


def test_show_and_version_come_from_the_engine(http: httpx.Client) -> None:
    """Both the new and the old field for the model's name work."""
    assert http.post("/api/show", json={"model": "gemma3:270m"}).json()["details"] == {"family": "gemma3"}
    assert http.post("/api/show", json={"name": "gemma3:270m"}).status_code == 200
    assert http.get("/api/version").json() == {"version": "0.17.4"}


@pytest.mark.parametrize("verb", ["pull", "push", "create", "copy"])
def test_changing_models_is_403_with_a_sentence(http: httpx.Client, engine: Engine, verb: str) -> None:
    """Models are declared; the sentence says where."""
    answer = http.post(f"/api/{verb}", json={"model": MODEL})
    assert answer.status_code == 403
    assert answer.json()["error"].startswith(f"'{verb}' is not offered here: the site's models are declared")
    assert engine.seen == []


def test_deleting_a_model_and_uploading_a_blob_are_403(http: httpx.Client) -> None:
    """The other two ways to change what is there."""
    assert http.request("DELETE", "/api/delete", json={"model": MODEL}).status_code == 403
    assert http.post("/api/blobs/sha256:00", content=b"x").status_code == 403


def test_errors_have_ollamas_shape(http: httpx.Client, gateway: RunningGateway) -> None:
    """Ollama's clients read `error` as a string."""
    assert isinstance(http.post("/api/chat", json={"model": "none"}).json()["error"], str)
    with gateway.client(None) as stranger:
        answer = stranger.get("/api/tags")
    assert answer.status_code == 401
    assert "Authorization: Bearer" in answer.json()["error"]


def test_a_model_of_another_engine_is_not_asked_in_ollamas_way(http: httpx.Client, engine: Engine) -> None:
    """The sentence says where it is served."""
    answer = http.post("/api/chat", json={"model": "vllm-model", "messages": []})
    assert (answer.status_code, engine.seen) == (400, [])
    assert "ask it under /v1" in answer.json()["error"]


def test_the_greeting_is_the_one_clients_look_for(http: httpx.Client) -> None:
    """Ollama's clients look for a server with HEAD or GET on /."""
    assert http.get("/").text == "Ollama is running"
    assert http.head("/").status_code == 200
