"""An engine on loopback that speaks Ollama's and OpenAI's shapes; some of its models misbehave."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from tests.served import Served

WORDS = (" 5", ",", " 6", ",", " 7")
COUNTS = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


class Engine(Served):
    """A real HTTP server; `seen` holds what it was asked, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.cancelled: set[str] = set()
        self.release = threading.Event()
        self._drops_left = 0
        self.broken = ""

    def __exit__(self, *failed: object) -> None:
        """Stop listening; answers that wait for `release` go on."""
        self.release.set()
        super().__exit__(*failed)

    def drop_next(self, count: int) -> None:
        """End the next connections without an answer."""
        self._drops_left = count

    def asked(self, path: str) -> list[dict[str, Any]]:
        """Return the bodies that were posted to `path`."""
        return [body for at, body in self.seen if at == path]

    def application(self) -> web.Application:
        """Return the routes of both APIs."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", self._openai)
        app.router.add_post("/v1/completions", self._openai)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_post("/api/chat", self._ollama)
        app.router.add_post("/api/generate", self._ollama)
        app.router.add_post("/api/embed", self._embed)
        app.router.add_post("/api/show", self._show)
        app.router.add_get("/api/tags", self._tags)
        app.router.add_get("/api/ps", self._tags)
        app.router.add_get("/api/version", self._version)
        return app

    async def _body(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.seen.append((request.path, body))
        self.headers.append({k.lower(): v for k, v in request.headers.items()})
        if self._drops_left:
            self._drops_left -= 1
            assert request.transport is not None
            request.transport.abort()
        return body

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        chat = request.path.endswith("/chat/completions")
        if body["model"] == self.broken:
            return web.json_response({"error": {"message": "runner was killed"}}, status=500)
        if body["model"] == "too-busy":
            return web.json_response(
                {"error": {"message": "queue full"}}, status=429, headers={"retry-after": "7"}
            )
        if body["model"] == "moved":
            raise web.HTTPFound("/elsewhere")
        if not body.get("stream") or body["model"] == "never-streams":
            text = "".join(WORDS)
            choice = {"message": _message(body)} if chat else {"text": text}
            kind = "chat.completion" if chat else "text_completion"
            return web.json_response(
                _object(body, kind, [{"index": 0, "finish_reason": "stop", **choice}], COUNTS)
            )
        return await self._stream(request, "text/event-stream", self._frames(body, chat))

    async def _frames(self, body: dict[str, Any], chat: bool) -> AsyncIterator[bytes]:
        counted = body.get("stream_options", {}).get("include_usage")
        zeros = dict.fromkeys(COUNTS, 0) if counted else None
        if body["model"] == "gives-up":
            yield _sse({"error": {"message": "runner was killed", "code": 500}})
            return
        for part in _deltas(body) if chat else [{"text": word} for word in WORDS]:
            kind = "chat.completion.chunk" if chat else "text_completion"
            # As Ollama does: once asked for usage, each frame of a completion carries one, of zeros.
            yield _sse(
                _object(body, kind, [{"index": 0, "finish_reason": None, **part}], None if chat else zeros)
            )
        if counted:
            yield _sse(_object(body, "chat.completion.chunk", [], COUNTS))
        yield b"data: [DONE]\n\n"

    async def _ollama(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if body.get("stream") is False:
            return web.json_response(_line(body, "".join(WORDS), request.path, done=True))
        return await self._stream(request, "application/x-ndjson", self._lines(body, request.path))

    async def _lines(self, body: dict[str, Any], path: str) -> AsyncIterator[bytes]:
        if body["model"] == "gives-up":
            yield b'{"error":"runner was killed"}\n'
            return
        for word in WORDS:
            yield json.dumps(_line(body, word, path, done=False)).encode() + b"\n"
        yield json.dumps(_line(body, "", path, done=True)).encode() + b"\n"

    async def _stream(
        self, request: web.Request, kind: str, pieces: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": kind})
        await answer.prepare(request)
        model = self.seen[-1][1]["model"]
        try:
            async for piece in pieces:
                await answer.write(piece)
                if model == "endless":
                    await asyncio.get_running_loop().run_in_executor(None, self.release.wait, 20)
                if model == "breaks":
                    assert request.transport is not None
                    request.transport.abort()
                    return answer
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled.add(request.headers["x-request-id"])
            raise
        await answer.write_eof()
        return answer

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return web.json_response({"object": "list", "model": body["model"], "data": data, "usage": usage})

    async def _embed(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        return web.json_response(
            {"model": body["model"], "embeddings": [[0.5, -0.5]], "prompt_eval_count": 3}
        )

    async def _show(self, request: web.Request) -> web.Response:
        await self._body(request)
        return web.json_response(
            {"details": {"family": "gemma3"}, "model_info": {}, "capabilities": ["completion"]}
        )

    async def _tags(self, _: web.Request) -> web.Response:
        names = ("gemma3:270m-base-q4_k_m", "gemma3:270m", "not-the-sites")
        models = [{"name": n, "model": n, "size": 253, "details": {"family": "gemma3"}} for n in names]
        return web.json_response({"models": models})

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.17.4"})


def _object(
    body: dict[str, Any], kind: str, choices: list[dict[str, Any]], usage: dict[str, int] | None = None
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": "c-1",
        "object": kind,
        "created": 1,
        "model": body["model"],
        "choices": choices,
    }
    return document | ({"usage": usage} if usage else {})


CALL = {"name": "weather", "arguments": '{"city": "Bonn"}'}
JSON_TEXT = '{"n": 5}'


def _message(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("tools"):
        call = {"id": "call_1", "type": "function", "function": CALL}
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    thoughts = {"reasoning": "Hm."} if body.get("reasoning_effort") else {}
    text = JSON_TEXT if body.get("response_format") else "".join(WORDS)
    return {"role": "assistant", "content": text, **thoughts}


def _deltas(body: dict[str, Any]) -> list[dict[str, Any]]:
    # Tool calls as vLLM streams them: name first, arguments in pieces; two calls, told apart by index.
    if body.get("tools"):
        calls: list[dict[str, Any]] = []
        for index in (0, 1):
            first = {
                "index": index,
                "id": f"call_{index}",
                "type": "function",
                "function": {"name": "weather"},
            }
            calls.append(first)
            for piece in ('{"city": ', '"Bonn"}'):
                calls.append({"index": index, "function": {"arguments": piece}})
        return [{"delta": {"tool_calls": [call]}} for call in calls]
    thoughts = [{"delta": {"reasoning": "Hm."}}] if body.get("reasoning_effort") else []
    words = (JSON_TEXT[:4], JSON_TEXT[4:]) if body.get("response_format") else WORDS
    return thoughts + [{"delta": {"content": word}} for word in words]


def _line(body: dict[str, Any], text: str, path: str, *, done: bool) -> dict[str, Any]:
    part = {"message": {"role": "assistant", "content": text}} if path == "/api/chat" else {"response": text}
    counts = {"done_reason": "stop", "prompt_eval_count": 11, "eval_count": 5} if done else {}
    return {"model": body["model"], "created_at": "2026-01-01T00:00:00Z", "done": done, **part, **counts}


def _sse(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
