"""Models of providers: both APIs through the real `openai` client, keys, errors, fallbacks, egress."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from aiplat.content import write_atomic
from aiplat.services.gateway.http.bodies import Memory
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.requests.admission import ModelRequest
from aiplat.services.gateway.requests.admitted import AdmittedFreely
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.requests.usage import TokenUsage
from aiplat.services.gateway.routing.egress import Egress
from aiplat.services.gateway.routing.models import Model, ModelTable
from aiplat.services.gateway.routing.replicas import Pools
from aiplat.services.gateway.upstream import anthropic
from aiplat.services.gateway.upstream.backends import Backends
from aiplat.services.gateway.upstream.connections import Upstreams
from aiplat.services.gateway.upstream.failover import Failover
from aiplat.services.gateway.upstream.response import UpstreamRequest
from tests.patience import PATIENCE, eventually
from tests.ports import free_port
from tests.services.gateway.conftest import KEY, MODEL, RunningGateway, running, write_site_files
from tests.services.gateway.engine import Engine
from tests.services.gateway.provider import PROVIDER_KEY, ProviderServer

HELLO: Any = [{"role": "user", "content": "Hello"}]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderServer]:
    """One server that speaks both APIs."""
    with ProviderServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh_provider(provider: ProviderServer) -> None:
    provider.seen.clear()
    provider.key = PROVIDER_KEY


def routes(provider: ProviderServer, engine: Engine, key_file: Path) -> dict[str, Any]:
    """Return a file with a local model, two providers and some of their models."""
    own = engine.url
    names = ("limited", "ill", "strict", "gpt")
    return {
        "providers": [
            {"name": "oai", "url": provider.url, "key_file": str(key_file)},
            {"name": "ant", "kind": "anthropic", "url": f"{provider.url}/", "key_file": str(key_file)},
        ],
        "models": [
            {"name": MODEL, "url": own},
            {"name": "down", "url": f"http://127.0.0.1:{free_port()}"},
            {"name": "too-busy", "url": own},
            *({"name": name, "provider": "oai"} for name in names),
            {"name": "claude", "provider": "ant", "served_as": "claude-real", "aliases": ["best"]},
        ],
        "fallbacks": {"down": ["ill", "claude"], "too-busy": ["gpt"], "limited": [MODEL]},
    }


@pytest.fixture(scope="module")
def provided(
    provider: ProviderServer, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway with those routes."""
    folder = tmp_path_factory.mktemp("provided")
    write_atomic(folder / "provider-key", f"{PROVIDER_KEY}\n".encode(), mode=0o600)
    write_site_files(folder, routes(provider, engine, folder / "provider-key"))
    with running(folder) as gateway:
        yield gateway
    assert PROVIDER_KEY not in (folder / "log").read_text()


@pytest.fixture
def client(provided: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> openai.OpenAI:
    """The client as a user makes it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(provided.ca))
    return openai.OpenAI(base_url=f"{provided.url}/v1", api_key=KEY, max_retries=0)


def test_an_openai_provider_is_asked_with_its_own_key(
    client: openai.OpenAI, provider: ProviderServer
) -> None:
    """The user's key stays here, the provider's never reaches the user."""
    answer = client.chat.completions.create(model="gpt", messages=HELLO)
    assert answer.choices[0].message.content == "Hello."
    path, body, headers = provider.seen[0]
    assert (path, body) == ("/v1/chat/completions", {"messages": HELLO, "model": "gpt"})
    assert headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert KEY not in str(provider.seen)


def test_an_anthropic_provider_answers_a_chat(client: openai.OpenAI, provider: ProviderServer) -> None:
    """The request in the Messages API's form, the answer in OpenAI's."""
    messages: Any = [{"role": "system", "content": "Be brief."}, *HELLO]
    answer = client.chat.completions.create(
        model="best", messages=messages, max_tokens=50, temperature=1.5, stop="END", user="u-1", seed=3
    )
    assert answer.choices[0].message.content == "Good day."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 5)
    path, body, headers = provider.seen[0]
    assert path == "/v1/messages"
    assert body == {
        "model": "claude-real",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "system": "Be brief.",
        "temperature": 1,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
    }
    assert (headers["x-api-key"], headers["anthropic-version"]) == (PROVIDER_KEY, "2023-06-01")
    assert "authorization" not in headers


@pytest.mark.parametrize("usage", [True, False])
def test_an_anthropic_provider_streams_a_chat(client: openai.OpenAI, usage: bool) -> None:
    """Chunk by chunk; the usage chunk only for who asked."""
    more: Any = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(client.chat.completions.create(model="claude", messages=HELLO, stream=True, **more))
    texts = [c.choices[0].delta.content for c in chunks if c.choices]
    assert [t for t in texts if t] == ["Good ", "day."]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    counted = [(c.usage.prompt_tokens, c.usage.completion_tokens) for c in chunks if c.usage]
    assert counted == ([(10, 5)] if usage else [])


@pytest.mark.parametrize("stream", [True, False])
def test_tools_work_with_an_anthropic_provider(
    client: openai.OpenAI, provider: ProviderServer, stream: bool
) -> None:
    """Schemas there, calls back; both put together by the client's own code."""
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    asked: Any = {"model": "claude", "messages": HELLO, "tools": [TOOL], "tool_choice": choice}
    asked["parallel_tool_calls"] = False
    if stream:
        with client.chat.completions.stream(**asked) as events:
            for _ in events:
                pass
            answer: Any = events.get_final_completion()
    else:
        answer = client.chat.completions.create(**asked)
        assert answer.choices[0].message.reasoning_content == "Hm."
    call = answer.choices[0].message.tool_calls[0]
    assert (call.id, call.function.name, json.loads(call.function.arguments)) == (
        "toolu_1",
        "weather",
        {"city": "Bonn"},
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    body = provider.seen[0][1]
    assert body["tools"] == [{"name": "weather", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}


def test_the_responses_api_works_with_an_anthropic_provider(client: openai.OpenAI) -> None:
    """Two translations in a row, both ways."""
    with client.responses.stream(model="claude", input="x", max_output_tokens=7) as events:
        answer = events.until_done().get_final_response()
    assert answer.output_text == "Good day."
    assert answer.usage is not None
    assert answer.usage.output_tokens == 5


@pytest.mark.parametrize("arguments", ["[" * 200_000, "{", "null and more"])
def test_calls_whose_arguments_are_no_json_are_refused(client: openai.OpenAI, arguments: str) -> None:
    """A text inside of the body can nest more deeply than the body may; the client is told."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages: Any = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    with pytest.raises(openai.BadRequestError, match="cannot be put into the provider's form"):
        client.chat.completions.create(model="claude", messages=messages)


def test_turns_become_the_turns_of_the_messages_api() -> None:
    """Calls, their results as one turn, pictures by value and by address."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    calls = [
        {"id": c, "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
        for c in ("c1", "c2")
    ]
    chat = {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look"}, picture]},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/p"}}]},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}},
        },
    }
    request = anthropic.messages_request(chat)
    results = [
        {"type": "tool_result", "tool_use_id": c, "content": [{"type": "text", "text": t}]}
        for c, t in (("c1", "one"), ("c2", "two"))
    ]
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    uses = [{"type": "tool_use", "id": c, "name": "f", "input": {"a": 1}} for c in ("c1", "c2")]
    assert request["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image", "source": source}]},
        {"role": "assistant", "content": uses},
        {
            "role": "user",
            "content": [*results, {"type": "image", "source": {"type": "url", "url": "https://x.test/p"}}],
        },
    ]
    assert request["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert request["max_tokens"] == 4096


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"n": 2}, "'n' is not offered"),
        ({"logprobs": True}, "'logprobs' is not offered"),
        ({"response_format": {"type": "json_object"}}, "no JSON mode without a schema"),
        ({"tools": [{"type": "custom"}]}, "'function'"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input_audio"),
        ({"messages": "x"}, "must be a list"),
        ({"messages": [7]}, "cannot be put into"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "judge"),
    ],
)
def test_what_an_anthropic_provider_cannot_do_is_400(
    provided: RunningGateway, provider: ProviderServer, more: dict[str, Any], said: str
) -> None:
    """Said here, with nothing sent out."""
    with provided.client() as http:
        answer = http.post("/v1/chat/completions", json={"model": "claude", "messages": HELLO, **more})
    assert (answer.status_code, provider.seen) == (400, [])
    assert said in answer.json()["error"]["message"]


def test_a_path_that_a_provider_lacks_is_400(provided: RunningGateway, provider: ProviderServer) -> None:
    """Embeddings of a provider that has none; Ollama's paths for any provider's model."""
    with provided.client() as http:
        assert http.post("/v1/embeddings", json={"model": "claude", "input": "x"}).status_code == 400
        refused = http.post("/api/chat", json={"model": "gpt", "messages": []})
    assert (refused.status_code, provider.seen) == (400, [])
    assert "served by oai" in refused.json()["error"]


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [("strict", 400, "no, … may not"), ("ill", 502, "broke off")],
)
def test_a_providers_error_never_quotes_its_key(
    provided: RunningGateway, model: str, status: int, said: str
) -> None:
    """A client's own mistake is told in the provider's words, all else in the gateway's."""
    with provided.client() as http:
        answer = http.post("/v1/chat/completions", json={"model": model, "messages": []})
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
    assert PROVIDER_KEY not in answer.text


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_a_provider_that_refuses_the_key_is_502_and_says_who_must_act(
    provided: RunningGateway, provider: ProviderServer, model: str
) -> None:
    """The user's key is fine, so it is not 401; the refused key is in no answer."""
    provider.key = "another"
    with provided.client() as http:
        answer = http.post("/v1/chat/completions", json={"model": model, "messages": HELLO})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_refused")
    assert PROVIDER_KEY not in answer.text


def test_a_replaced_key_is_used_without_a_restart(
    provider: ProviderServer, engine: Engine, tmp_path: Path
) -> None:
    """Kubernetes replaces a mounted Secret in place."""
    key_file = tmp_path / "provider-key"
    write_atomic(key_file, b"sk-old", mode=0o600)
    write_site_files(tmp_path, routes(provider, engine, key_file))
    with running(tmp_path) as gateway, gateway.client() as http:
        body = {"model": "gpt", "messages": HELLO}
        assert http.post("/v1/chat/completions", json=body).status_code == 502
        write_atomic(key_file, PROVIDER_KEY.encode(), mode=0o600)
        assert eventually(lambda: http.post("/v1/chat/completions", json=body).status_code == 200)


@pytest.mark.parametrize(("model", "by"), [("down", "claude"), ("too-busy", "gpt"), ("limited", MODEL)])
def test_fallbacks_lead_to_providers_and_back(
    provided: RunningGateway, client: openai.OpenAI, model: str, by: str
) -> None:
    """From the site to a provider, over one that is ill, and from a provider to the site."""
    answer = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    assert answer.headers["x-aiplat-model"] == by
    assert answer.parse().choices[0].message.content
    sample = f'aiplat_gateway_fallbacks_total{{answered_by="{by}",model="{model}"}}'
    assert provided.metric(sample) == 1


def test_a_providers_answers_are_counted_by_status(provided: RunningGateway, client: openai.OpenAI) -> None:
    """What clients are told in other words is still seen by who watches the provider."""
    sample = 'aiplat_gateway_provider_answers_total{model="ill",provider="oai",status="500"}'
    before = provided.metric(sample)
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model="ill", messages=HELLO)
    assert provided.metric(sample) == before + 1


@pytest.mark.parametrize("word", ["break", "vanish"])
def test_a_providers_stream_that_breaks_off_is_an_error(client: openai.OpenAI, word: str) -> None:
    """Whether the provider says so or just ends: half an answer never looks whole."""
    messages: Any = [{"role": "user", "content": word}]
    with pytest.raises(openai.APIError, match="broke off"):
        list(client.chat.completions.create(model="claude", messages=messages, stream=True))
    with client.responses.stream(model="claude", input=word) as events:
        assert list(events)[-1].type == "response.failed"


def test_a_provider_that_sends_no_events_is_an_error(client: openai.OpenAI) -> None:
    """A whole message where a stream was asked for is told by its status, before a stream has begun."""
    messages: Any = [{"role": "user", "content": "no events"}]
    with pytest.raises(openai.APIStatusError, match="broke off") as refused:
        list(client.chat.completions.create(model="claude", messages=messages, stream=True))
    assert refused.value.status_code == 502
    with pytest.raises(openai.APIStatusError, match="broke off"):
        list(client.responses.create(model="claude", input="no events", stream=True))


def test_a_provider_outside_stops_the_start_where_egress_is_forbidden(tmp_path: Path) -> None:
    """Exit code 2 and a sentence that names provider and host."""
    far = {"name": "far", "url": "https://api.example.com/v1"}
    write_site_files(tmp_path, {"egress": "forbidden", "providers": [far]})
    command = [
        sys.executable,
        "-m",
        "aiplat.services.gateway",
        "--health-port=0",
        f"--keys={tmp_path / 'keys'}",
    ]
    command.append(f"--static={tmp_path / 'models.json'}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "provider far: api.example.com is outside of the site" in done.stderr


def test_a_call_that_would_leave_is_refused_and_kept_for_the_audit() -> None:
    """Even a model that no file names, as a discovered one: the rule is asked before every call."""
    events: list[tuple[str, dict[str, str]]] = []

    def take(event: str, _: RequestContext, **facts: str) -> None:
        events.append((event, facts))

    async def body() -> None:
        table, pools, metrics = ModelTable(), Pools(), Metrics()
        table.follow(pools.update)
        table.replace([Model(name="m", urls=("http://192.0.2.7:11434",))])
        async with Upstreams(Egress(forbidden=True)) as upstreams:
            backends = Backends(
                table, upstreams, Memory(1, 1), metrics, pools,
                audit=take,
            )  # fmt: skip
            context = RequestContext({"method": "POST", "path": "/", "headers": []}, None, None)  # type: ignore[arg-type]
            asked = ModelRequest(table.all()[0], {}, AdmittedFreely(TokenUsage()))
            with pytest.raises(ApiError) as refused:
                await Failover(context, backends, asked, UpstreamRequest("/x", {})).response()
        assert (refused.value.status, refused.value.code) == (403, "egress_forbidden")

    asyncio.run(body())
    assert [(e, f["model"]) for e, f in events] == [("egress.refused", "m")]
