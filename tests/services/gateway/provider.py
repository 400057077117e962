"""Providers on loopback: OpenAI's API and Anthropic's Messages API, with keys, errors and streams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.served import Served

PROVIDER_KEY = "sk-provider-secret-0123456789"
ANTHROPIC_USAGE = {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 1}
TEXT = ("Good ", "day.")


class ProviderServer(Served):
    """A real HTTP server; `seen` holds path, body and headers of what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.key = PROVIDER_KEY

    @property
    def url(self) -> str:
        """Where its API begins."""
        return f"{super().url}/v1"

    def application(self) -> web.Application:
        """Return the routes of both APIs."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._openai)
        app.router.add_post("/v1/messages", self._anthropic)
        return app

    async def _read(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.seen.append((request.path, body, {k.lower(): v for k, v in request.headers.items()}))
        return body

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        body = await self._read(request)
        if request.headers.get("authorization") != f"Bearer {self.key}":
            said = f"Incorrect API key provided: {request.headers.get('authorization')}"
            return web.json_response({"error": {"message": said}}, status=401)
        if body["model"] in {"limited", "ill", "strict"}:
            status = {"limited": 429, "ill": 500, "strict": 400}[body["model"]]
            error = {"error": {"message": f"no, {PROVIDER_KEY} may not"}}
            return web.json_response(error, status=status, headers={"retry-after": "9"})
        usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
        about = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response({**about, "choices": [choice], "usage": usage})

    async def _anthropic(self, request: web.Request) -> web.StreamResponse:
        body = await self._read(request)
        if request.headers.get("x-api-key") != self.key:
            error = {"type": "authentication_error", "message": "invalid x-api-key"}
            return web.json_response({"type": "error", "error": error}, status=401)
        if body["messages"][-1]["content"][0].get("text") == "overload":
            error = {"type": "overloaded_error", "message": "Overloaded"}
            return web.json_response({"type": "error", "error": error}, status=529)
        if body.get("stream") and body["messages"][-1]["content"][0].get("text") != "no events":
            return await self._events(request, body)
        stop = "tool_use" if body.get("tools") else "end_turn"
        return web.json_response(
            _message(body, list(_blocks(body)), stop, {**ANTHROPIC_USAGE, "output_tokens": 5})
        )

    async def _events(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        for event in _events(body):
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            # Cut in the middle: no client may rely on a frame coming in one piece.
            await answer.write(data[: len(data) // 2])
            await asyncio.sleep(0)
            await answer.write(data[len(data) // 2 :])
        await answer.write_eof()
        return answer


def _message(
    body: dict[str, Any], content: list[dict[str, Any]], stop: str | None, usage: dict[str, int]
) -> dict[str, Any]:
    about = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
    return {**about, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}


def _blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    thoughts = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    text = {"type": "text", "text": "".join(TEXT)}
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bonn"}}
    return [thoughts, text, use] if body.get("tools") else [text]


def _events(body: dict[str, Any]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": _message(body, [], None, ANTHROPIC_USAGE)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    deltas = [{"type": "text_delta", "text": t} for t in TEXT]
    events += [{"type": "content_block_delta", "index": 0, "delta": d} for d in deltas]
    events.append({"type": "content_block_stop", "index": 0})
    stop = "end_turn"
    if body.get("tools"):
        stop = "tool_use"
        use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
        events.append({"type": "content_block_start", "index": 1, "content_block": use})
        pieces = [{"type": "input_json_delta", "partial_json": p} for p in ("", '{"city": ', '"Bonn"}')]
        events += [{"type": "content_block_delta", "index": 1, "delta": p} for p in pieces]
        events.append({"type": "content_block_stop", "index": 1})
    if body["messages"][-1]["content"][0].get("text") == "break":
        return [*events, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]
    if body["messages"][-1]["content"][0].get("text") == "vanish":
        return events
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}})
    return [*events, {"type": "message_stop"}]
