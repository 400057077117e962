"""The upstream that every gateway is measured with: answers OpenAI's chat and computes nothing.

`python -m tests.bench.upstream PORT`. The model's name says what it does: `frames-64` streams 64 frames, each
written by itself; `paced-50-20` streams 50 frames, one every 20 ms. Without `stream` it answers one document.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from typing import cast

import httptools
import uvloop

_MODEL = re.compile(rb'"model"\s*:\s*"(frames|paced)-(\d+)(?:-(\d+))?"')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_USAGE = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}
_ABOUT = {"id": "chatcmpl-bench", "created": 1, "model": "bench"}


def _json(document: dict[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _whole() -> bytes:
    message = {"role": "assistant", "content": "The quick brown fox jumps."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = _json({**_ABOUT, "object": "chat.completion", "choices": [choice], "usage": _USAGE})
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _frame(choices: list[object], **more: object) -> bytes:
    document = {**_ABOUT, "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + _json(document) + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_WHOLE = _whole()
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_WORD = _chunk(_frame([{"index": 0, "delta": {"content": " fox"}, "finish_reason": None}]))
_STOP = _chunk(_frame([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
_COUNT = _chunk(_frame([], usage=_USAGE))
_END = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One kept-alive connection; requests come one after the other."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Forget the request before (called by the parser)."""
        self._body = []

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the request (called by the parser)."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Answer (called by the parser)."""
        body = b"".join(self._body)
        if not _STREAM.search(body):
            self._transport.write(_WHOLE)
            return
        kind = _MODEL.search(body)
        if kind is None:
            raise SystemExit(f"no model of the benchmark is asked: {body[:200]!r}")
        frames = iter((_HEAD, *[_WORD] * (int(kind[2]) - 1), _STOP, _COUNT, _END))
        pause = int(kind[3]) / 1000 if kind[3] else 0.0
        self._loop.call_soon(self._next, frames, pause)

    def _next(self, frames: Iterator[bytes], pause: float) -> None:
        if (piece := next(frames, None)) is None or self._transport.is_closing():
            return
        self._transport.write(piece)
        # A turn of the loop between frames: each is a packet of its own, as an engine sends them.
        if pause and piece is _WORD:
            self._loop.call_later(pause, self._next, frames, pause)
        else:
            self._loop.call_soon(self._next, frames, pause)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
