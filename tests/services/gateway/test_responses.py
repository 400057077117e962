"""The Responses API: through the real `openai` client, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pydantic
import pytest

from tests.services.gateway.conftest import KEY, MODEL, RunningGateway
from tests.services.gateway.engine import JSON_TEXT, Engine

WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": None}
PATH = "/v1/chat/completions"


@pytest.fixture
def client(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> openai.OpenAI:
    """The client as a user makes it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(gateway.ca))
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


def test_a_response_answers_a_text(client: openai.OpenAI, engine: Engine) -> None:
    """The simplest call; instructions become the system's message."""
    answer = client.responses.create(
        model="gemma3:270m", input="1, 2, 3, 4,", instructions="Count.", max_output_tokens=9, temperature=0
    )
    assert (answer.output_text, answer.status, answer.store) == (" 5, 6, 7", "completed", False)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (11, 5, 16)
    assert (answer.instructions, answer.temperature, answer.max_output_tokens) == ("Count.", 0, 9)
    assert engine.asked(PATH) == [
        {
            "messages": [{"role": "system", "content": "Count."}, {"role": "user", "content": "1, 2, 3, 4,"}],
            "temperature": 0,
            "model": MODEL,
            "max_tokens": 9,
        }
    ]


def strict(event: Any) -> None:
    """Fail where an event does not have exactly the types that the client's models say."""
    type(event).model_validate(event.model_dump(), strict=True)


def test_a_response_streams_as_events(client: openai.OpenAI) -> None:
    """Numbered without a gap, from created to completed, each of the form that the client knows."""
    events = list(client.responses.create(model=MODEL, input="1, 2, 3, 4,", stream=True))
    kinds = [e.type for e in events]
    assert [e.sequence_number for e in events] == list(range(len(events)))
    named = ["created", "in_progress", "output_item.added", "content_part.added"]
    named += ["output_text.delta"] * 5
    named += ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert kinds == [f"response.{name}" for name in named]
    for event in events:
        strict(event)
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == " 5, 6, 7"
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 5


@pytest.mark.parametrize("model", ["moved", "never-streams"])
def test_an_engine_that_sends_no_events_is_an_error_and_not_a_stream(http: httpx.Client, model: str) -> None:
    """A redirect, and a whole answer: 502 before a stream has begun, in the shape of an error."""
    answer = http.post("/v1/responses", json={"model": model, "input": "x", "stream": True})
    assert (answer.status_code, answer.headers["content-type"]) == (502, "application/json")
    assert "broke off" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_a_redirect_is_not_an_answer(http: httpx.Client, path: str, stream: bool) -> None:
    """It is not followed, and not passed on to a client that might."""
    document: dict[str, Any] = {"model": "moved", "input": "x", "stream": stream}
    if path != "/v1/responses":
        document |= {"prompt": "x", "messages": []}
    answer = http.post(path, json=document)
    assert (answer.status_code, "location" in answer.headers) == (502, False)


def test_the_clients_own_stream_helper_understands_it(client: openai.OpenAI) -> None:
    """`responses.stream` checks the order of events as it puts them together."""
    with client.responses.stream(model=MODEL, input="x") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == " 5, 6, 7"


@pytest.mark.parametrize("stream", [True, False])
def test_function_calls_come_as_items(client: openai.OpenAI, engine: Engine, stream: bool) -> None:
    """Tools in the form of the Responses API, calls as items with whole arguments."""
    if stream:
        with client.responses.stream(model=MODEL, input="x", tools=[WEATHER]) as events:
            seen = list(events)
            answer: Any = events.get_final_response()
        assert sum(e.type == "response.function_call_arguments.delta" for e in seen) == 4
    else:
        answer = client.responses.create(model=MODEL, input="x", tools=[WEATHER], tool_choice="required")
    assert [(i.type, i.name, i.arguments) for i in answer.output] == [
        ("function_call", "weather", '{"city": "Bonn"}')
    ] * (2 if stream else 1)
    asked = engine.asked(PATH)[0]
    assert asked["tools"] == [
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    ]


def test_a_conversation_goes_on_with_the_items_of_before(client: openai.OpenAI, engine: Engine) -> None:
    """Messages, calls and their results become the turns of a chat; thoughts are left out."""
    turns: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Rain."},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Rain."}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]},
    ]
    client.responses.create(model=MODEL, input=turns)
    function = {"name": "weather", "arguments": "{}"}
    calls = [{"id": c, "type": "function", "function": function} for c in ("c1", "c2")]
    image = {"url": "data:image/png;base64,AA==", "detail": "auto"}
    assert engine.asked(PATH)[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "Rain."},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": [{"type": "image_url", "image_url": image}]},
    ]


class Number(pydantic.BaseModel):
    """What a structured answer is to hold."""

    n: int


def test_a_structured_answer_is_parsed(client: openai.OpenAI, engine: Engine) -> None:
    """`text.format` becomes the chat's response_format with the same schema."""
    answer = client.responses.parse(model=MODEL, input="x", text_format=Number)
    assert answer.output_parsed == Number(n=5)
    form = engine.asked(PATH)[0]["response_format"]
    assert (form["type"], form["json_schema"]["name"]) == ("json_schema", "Number")
    assert form["json_schema"]["schema"]["required"] == ["n"]


@pytest.mark.parametrize("stream", [True, False])
def test_thoughts_are_an_item_of_their_own(client: openai.OpenAI, stream: bool) -> None:
    """What a model thinks aloud comes before its message."""
    if stream:
        with client.responses.stream(model=MODEL, input="x", reasoning={"effort": "low"}) as events:
            answer: Any = events.until_done().get_final_response()
    else:
        answer = client.responses.create(model=MODEL, input="x", reasoning={"effort": "low"})
    assert [i.type for i in answer.output] == ["reasoning", "message"]
    assert answer.output[0].content[0].text == "Hm."
    assert answer.reasoning.effort == "low"


@pytest.mark.parametrize(
    ("more", "param", "said"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "earlier turns in `input`"),
        ({"conversation": "conv_1"}, "conversation", "earlier turns in `input`"),
        ({"background": True}, "background", "not kept here"),
        ({"store": True}, "store", "not kept here"),
        ({"truncation": "auto"}, "truncation", "never cut"),
        ({"prompt": {"id": "p"}}, "prompt", "templates"),
        ({"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}, "tool_choice", "auto"),
        ({"tools": [1]}, "tools[0]", "only tools of type 'function'"),
        ({"tools": 1}, "tools", "must be a list"),
        ({"text": "json"}, "text", "must be an object"),
        ({"text": {"format": "json"}}, "text.format", "none of text"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice", "a function by its name"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]", "item_reference"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0]", "input_file"),
        ({"input": [{"role": ["x"], "content": "x"}]}, "input[0]", "no role"),
        ({"input": [7]}, "input[0]", "must be an object"),
        ({"input": None}, "input", "provide input"),
        ({"inpt": "x"}, "inpt", "Unknown parameter"),
    ],
)
def test_what_is_not_offered_is_400_and_says_what_to_do(
    http: httpx.Client, engine: Engine, more: dict[str, Any], param: str, said: str
) -> None:
    """In OpenAI's shape, with the parameter's name; the engine is not asked."""
    answer = http.post("/v1/responses", json={"model": MODEL, "input": "x", **more})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert said in error["message"]
    assert engine.seen == []


def test_what_means_nothing_here_is_taken(http: httpx.Client) -> None:
    """Clients that say the defaults aloud are not refused."""
    more = {"store": False, "background": False, "truncation": "disabled", "metadata": {"a": "b"}}
    more |= {"include": ["reasoning.encrypted_content"], "previous_response_id": None, "tools": None}
    answer = http.post("/v1/responses", json={"model": MODEL, "input": "x", **more})
    assert answer.status_code == 200
    assert answer.json()["metadata"] == {"a": "b"}
    assert int(answer.headers.get("content-length", len(answer.content))) == len(answer.content)


def test_an_engine_that_breaks_off_fails_the_response(client: openai.OpenAI) -> None:
    """The last event says so; nothing looks complete."""
    events = list(client.responses.create(model="breaks", input="x", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error is not None
    assert "broke off" in events[-1].response.error.message


def test_a_response_is_counted(http: httpx.Client, gateway: RunningGateway) -> None:
    """Streamed or whole, by the engine's own count."""
    sample = f'aiplat_gateway_tokens_total{{estimated="false",key="site",kind="completion",model="{MODEL}"}}'
    before = gateway.metric(sample)
    for stream in (True, False):
        http.post("/v1/responses", json={"model": MODEL, "input": "x", "stream": stream})
    assert gateway.metric(sample) == before + 10


@pytest.mark.parametrize("stream", [True, False])
def test_tool_calls_of_a_chat_pass_untouched(http: httpx.Client, engine: Engine, stream: bool) -> None:
    """The engine gets what the client sent, the client gets what the engine wrote, frame by frame."""
    tool = {"type": "function", "function": {"name": "weather", "strict": True, "x-own": [1.0, "ü"]}}
    body = {"model": MODEL, "messages": [], "tools": [tool], "tool_choice": "auto", "stream": stream}
    answer = http.post(PATH, json=body)
    sent = engine.asked(PATH)[0]
    sent.pop("stream_options", None)
    assert sent == body
    if stream:
        frames = [json.loads(f[6:]) for f in answer.text.split("\n\n") if f.startswith("data: {")]
        deltas = [f["choices"][0]["delta"]["tool_calls"][0] for f in frames]
        assert len(deltas) == 6
        assert deltas[0]["function"] == {"name": "weather"}
        assert (
            "".join(d["function"].get("arguments", "") for d in deltas if d["index"] == 1)
            == '{"city": "Bonn"}'
        )
    else:
        assert answer.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "weather"


def test_json_mode_passes_untouched(http: httpx.Client, engine: Engine) -> None:
    """A schema reaches the engine as it was sent."""
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
    answer = http.post(PATH, json={"model": MODEL, "messages": [], "response_format": form})
    assert engine.asked(PATH)[0]["response_format"] == form
    assert answer.json()["choices"][0]["message"]["content"] == JSON_TEXT


def test_tools_that_the_site_does_not_have_are_left_out_and_said(http: httpx.Client, engine: Engine) -> None:
    """A client that offers its usual tools is answered with those that are functions."""
    function = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    others = [{"type": "web_search"}, {"type": "custom", "name": "apply_patch"}]
    earlier = [{"type": "web_search_call", "id": "ws_1"}, {"role": "user", "content": "hi"}]
    more = {"tools": [function, *others], "include": ["file_search_call.results"], "input": earlier}
    answer = http.post("/v1/responses", json={"model": MODEL, "tool_choice": "auto", **more})
    assert answer.status_code == 200
    left_out = (
        "tools[1] web_search, tools[2] custom, include[0] file_search_call.results, input[0] web_search_call"
    )
    assert answer.headers["x-aiplat-left-out"] == left_out
    assert [tool["type"] for tool in answer.json()["tools"]] == ["function"]
    [asked] = engine.asked("/v1/chat/completions")
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["weather"]
    http.post("/v1/responses", json={"model": MODEL, "tool_choice": "auto", "input": "x", "tools": others})
    assert not {"tools", "tool_choice"} & engine.asked("/v1/chat/completions")[-1].keys()
