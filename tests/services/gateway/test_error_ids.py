"""Every error names its request, in a field that each API's clients pass over or show."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any

import httpx
import openai
import pytest

from tests.patience import PATIENCE
from tests.services.gateway.conftest import KEY, MODEL, RunningGateway

CHAT, COMPLETION, RESPONSE = "/v1/chat/completions", "/v1/completions", "/v1/responses"
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "prompt": "x"}
INPUT: dict[str, Any] = {"input": "x"}


def named(document: dict[str, Any]) -> str:
    """Return the id in an error, wherever its API has it."""
    error = document["error"]
    return str((error if isinstance(error, dict) else document)["request_id"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (CHAT, "{", 400),
        (RESPONSE, "{", 400),
        ("/api/chat", "{", 400),
        (CHAT, json.dumps({"model": "none", **ASKED}), 404),
        ("/api/generate", json.dumps({"model": "none", **ASKED}), 404),
        ("/v1/nothing", "{}", 404),
        ("/api/pull", "{}", 403),
        (CHAT, json.dumps({"model": "down", **ASKED}), 503),
        (RESPONSE, json.dumps({"model": "down", **INPUT}), 503),
        ("/api/chat", json.dumps({"model": "down", **ASKED}), 503),
        (CHAT, json.dumps({"model": "too-busy", **ASKED}), 429),
        (COMPLETION, json.dumps({"model": "moved", **ASKED}), 502),
        (RESPONSE, json.dumps({"model": "never-streams", **INPUT, "stream": True}), 502),
    ],
)
def test_an_error_names_its_request(http: httpx.Client, path: str, body: str, status: int) -> None:
    """As the header does and the log; a broken body, nobody there, an engine that says no itself."""
    answer = http.post(path, content=body)
    assert answer.status_code == status, answer.text
    assert named(answer.json()) == answer.headers["x-aiplat-request-id"]
    assert "trace_id" not in answer.text


@pytest.mark.parametrize("path", [CHAT, "/api/chat", "/api/tags"])
def test_who_has_no_key_is_told_the_id_too(gateway: RunningGateway, path: str) -> None:
    """Whoever runs the site can find what a stranger asks about."""
    with gateway.client(key=None) as client:
        answer = client.post(path, json={"model": MODEL})
    assert answer.status_code == 401
    assert named(answer.json()) == answer.headers["x-aiplat-request-id"]


@pytest.mark.parametrize("model", ["breaks", "gives-up"])
@pytest.mark.parametrize("path", [CHAT, COMPLETION])
def test_an_error_in_an_event_stream_names_it(http: httpx.Client, path: str, model: str) -> None:
    """The gateway's own, and what the engine says itself."""
    answer = http.post(path, json={"model": model, **ASKED, "stream": True})
    errors = [json.loads(line[6:]) for line in answer.text.splitlines() if '"error"' in line]
    assert [named(error) for error in errors] == [answer.headers["x-aiplat-request-id"]]


@pytest.mark.parametrize("model", ["breaks", "gives-up"])
def test_an_error_in_ollamas_lines_names_it(http: httpx.Client, model: str) -> None:
    """The last line is still one that its clients raise."""
    answer = http.post("/api/chat", json={"model": model, **ASKED})
    last = json.loads(answer.text.splitlines()[-1])
    assert isinstance(last["error"], str)
    assert named(last) == answer.headers["x-aiplat-request-id"]


@pytest.mark.parametrize("model", ["breaks", "gives-up"])
def test_a_failed_response_names_it(gateway: RunningGateway, http: httpx.Client, model: str) -> None:
    """The event is still one that OpenAI's client knows."""
    answer = http.post(RESPONSE, json={"model": model, **INPUT, "stream": True})
    last = json.loads(answer.text.strip().splitlines()[-1].removeprefix("data: "))
    assert last["type"] == "response.failed"
    assert named(last["response"]) == answer.headers["x-aiplat-request-id"]


def test_openais_client_shows_it(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a field more, and its exception has it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(gateway.ca))
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)
    with pytest.raises(openai.NotFoundError) as told:
        client.chat.completions.create(model="none", messages=[])
    assert isinstance(told.value.body, dict)
    assert told.value.body["request_id"] == told.value.response.headers["x-aiplat-request-id"]


def test_what_never_became_a_request_has_an_id_that_the_log_knows(gateway: RunningGateway) -> None:
    """Bytes that are not HTTP."""
    trusted = ssl.create_default_context(cafile=str(gateway.ca))
    url = httpx.URL(gateway.url)
    with (
        socket.create_connection((url.host, url.port or 0), PATIENCE) as plain,
        trusted.wrap_socket(plain, server_hostname=url.host) as connection,
    ):
        connection.sendall(b"plainly not HTTP\r\n\r\n")
        said = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    head, _, body = said.partition("\r\n\r\n")
    request = named(json.loads(body))
    assert f"x-request-id: {request}" in head
    assert f"request={request}" in (gateway.folder / "log").read_text()
