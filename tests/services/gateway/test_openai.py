"""OpenAI's API as its clients and curl see it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.services.gateway.conftest import MODEL, RunningGateway
from tests.services.gateway.engine import COUNTS, Engine

PROMPT = {"model": MODEL, "prompt": "1, 2, 3, 4,", "temperature": 0}


def frames(text: str) -> list[str]:
    """Return the payloads of an event stream."""
    return [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame]


def test_a_completion_continues_the_prompt(http: httpx.Client, engine: Engine) -> None:
    """The engine gets the body as the client sent it, and its answer comes back whole."""
    answer = http.post("/v1/completions", json=PROMPT)
    assert answer.status_code == 200
    assert "5, 6, 7" in answer.json()["choices"][0]["text"]
    assert answer.json()["usage"] == COUNTS
    assert engine.asked("/v1/completions") == [PROMPT]


def test_an_alias_finds_the_model_and_the_engine_hears_its_real_name(
    http: httpx.Client, engine: Engine
) -> None:
    """A model answers to its aliases; the engine is asked by the one name it has."""
    assert http.post("/v1/completions", json=PROMPT | {"model": "gemma3:270m"}).status_code == 200
    assert engine.asked("/v1/completions")[0]["model"] == MODEL


def test_another_engine_is_asked_by_its_own_name(http: httpx.Client, engine: Engine) -> None:
    """`served_as` is what the engine calls the model."""
    assert http.post("/v1/completions", json=PROMPT | {"model": "vllm-model"}).status_code == 200
    assert engine.asked("/v1/completions")[0]["model"] == "/models/real"


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_a_stream_hides_the_usage_frame_that_nobody_asked_for(
    http: httpx.Client, engine: Engine, gateway: RunningGateway, path: str
) -> None:
    """Usage is always asked of the engine and counted, but kept from a client that did not ask."""
    sample = f'aiplat_gateway_tokens_total{{estimated="false",key="site",kind="completion",model="{MODEL}"}}'
    before = gateway.metric(sample)
    answer = http.post(path, json={"model": MODEL, "prompt": "x", "stream": True})
    got = frames(answer.text)
    assert answer.headers["content-type"] == "text/event-stream"
    assert len(got) == 6
    assert got[-1] == "[DONE]"
    assert all(json.loads(f)["choices"] and "usage" not in json.loads(f) for f in got[:-1])
    assert engine.asked(path)[0]["stream_options"] == {"include_usage": True}
    assert gateway.metric(sample) == before + 5


def test_a_stream_shows_the_usage_frame_to_who_asked(http: httpx.Client) -> None:
    """With include_usage the frame passes like any other, in its place before [DONE]."""
    body = {"model": MODEL, "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    got = frames(http.post("/v1/chat/completions", json=body).text)
    assert len(got) == 7
    assert json.loads(got[-2])["usage"] == COUNTS


def test_embeddings_pass(http: httpx.Client) -> None:
    """An embedding comes back as the engine made it."""
    answer = http.post("/v1/embeddings", json={"model": MODEL, "input": "hello"})
    assert answer.json()["data"][0]["embedding"] == [0.5, -0.5]


def test_models_are_listed_once_with_their_aliases(http: httpx.Client) -> None:
    """A model with two names is one entry."""
    listed = {m["id"]: m for m in http.get("/v1/models").json()["data"]}
    assert listed[MODEL]["aliases"] == ["gemma3:270m"]
    assert listed[MODEL]["created"] == 1700000000
    assert "gemma3:270m" not in listed


@pytest.mark.parametrize("name", [MODEL, "gemma3:270m", "org/with-slash", "org%2Fwith-slash"])
def test_one_model_is_found_by_any_of_its_names(http: httpx.Client, name: str) -> None:
    """Names with a slash work plain and escaped."""
    assert http.get(f"/v1/models/{name}").status_code == 200


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the error of an answer that has OpenAI's shape, and only that."""
    document = answer.json()
    assert set(document) == {"error"}
    assert set(document["error"]) == {"message", "type", "param", "code", "request_id"}
    error: dict[str, Any] = document["error"]
    return error


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions", "/v1/nothing", "/"])
@pytest.mark.parametrize("key", [None, "sk-wrong", "sha256:" + "0" * 64])
def test_without_a_known_key_everything_is_401(gateway: RunningGateway, path: str, key: str | None) -> None:
    """Not even which paths exist is told to somebody without a key."""
    with gateway.client(key) as stranger:
        answer = stranger.post(path, json=PROMPT)
    assert answer.status_code == 401
    assert error_of(answer)["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_hash_of_a_key_is_not_a_key(gateway: RunningGateway) -> None:
    """What is stored in the Secret does not open the door."""
    stored = (gateway.folder / "keys" / "site").read_text().strip()
    for presented in (stored, stored.removeprefix("sha256:")):
        with gateway.client(presented) as stranger:
            assert stranger.get("/v1/models").status_code == 401


def test_a_key_in_the_url_is_not_accepted(gateway: RunningGateway) -> None:
    """Keys in URLs end up in logs, so they open nothing."""
    with gateway.client(None) as stranger:
        assert stranger.get("/v1/models?api_key=sk-aiplat-for-tests").status_code == 401


def test_an_unknown_model_is_404_and_names_the_known(http: httpx.Client) -> None:
    """The error has OpenAI's code, and its sentence helps."""
    answer = http.post("/v1/chat/completions", json={"model": "gpt-9", "messages": []})
    error = error_of(answer)
    assert answer.status_code == 404
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert MODEL in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{", None), (b"[]", None), (b"{}", "model"), (b'{"model": 3}', "model"), (b"\xff\xfe", None)],
)
def test_a_body_that_is_no_request_is_400(http: httpx.Client, body: bytes, param: str | None) -> None:
    """Broken JSON, another type, a missing model: each is said."""
    answer = http.post("/v1/completions", content=body)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


def test_stream_options_of_the_wrong_type_are_400(http: httpx.Client) -> None:
    """A wrong type is refused by the gateway, not by a crash."""
    answer = http.post("/v1/completions", json=PROMPT | {"stream": True, "stream_options": 1})
    assert (answer.status_code, error_of(answer)["param"]) == (400, "stream_options")


def test_an_unknown_path_is_404_and_a_wrong_method_405(http: httpx.Client) -> None:
    """Both in OpenAI's shape; 405 says what is allowed."""
    unknown = http.get("/v1/nothing")
    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "unknown_url")
    wrong = http.get("/v1/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    error_of(wrong)


@pytest.mark.parametrize("declared", [True, False])
def test_a_request_over_the_limit_is_413(http: httpx.Client, engine: Engine, declared: bool) -> None:
    """Refused whether its size is declared or only turns out; the engine sees none of it."""
    body = b'{"model": "' + b"x" * (17 << 20) + b'"}'
    pieces = (body[at : at + (1 << 20)] for at in range(0, len(body), 1 << 20))
    try:
        answer = http.post("/v1/completions", content=body if declared else pieces)
    except (httpx.WriteError, httpx.RemoteProtocolError):
        pytest.fail("the connection was cut before the answer")
    assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")
    assert engine.seen == []


def test_what_the_engine_refuses_passes_as_it_is(http: httpx.Client) -> None:
    """Status, sentence and Retry-After are the engine's."""
    answer = http.post("/v1/completions", json=PROMPT | {"model": "too-busy"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    named = {"request_id": answer.headers["x-aiplat-request-id"]}
    assert answer.json() == {"error": {"message": "queue full", **named}}


def test_an_engine_that_is_down_is_503_with_retry_after(http: httpx.Client) -> None:
    """Nobody listens: the client is told to come back."""
    answer = http.post("/v1/completions", json=PROMPT | {"model": "down"})
    assert (answer.status_code, error_of(answer)["code"]) == (503, "model_not_ready")
    assert int(answer.headers["retry-after"]) > 0


def test_the_request_id_of_the_client_is_kept(http: httpx.Client, engine: Engine) -> None:
    """One id from client to engine and back, beside the gateway's own, which replaces an unsuitable one."""
    answer = http.post("/v1/completions", json=PROMPT, headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert engine.headers[0]["x-request-id"] == "abc-1"
    assert len(answer.headers["x-aiplat-request-id"]) == 32
    for unsuitable in ("a b", "a" * 65, "a;b"):
        strange = http.post("/v1/completions", json=PROMPT, headers={"x-request-id": unsuitable})
        assert strange.headers["x-request-id"] == strange.headers["x-aiplat-request-id"]


def test_the_engine_never_sees_the_key(http: httpx.Client, engine: Engine) -> None:
    """The key opens the gateway and goes no further."""
    http.post("/v1/completions", json=PROMPT)
    assert "authorization" not in engine.headers[0]
