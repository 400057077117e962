"""Asks one URL from many connections for a while and prints what it saw; what it means is in scenarios.

`python -m tests.bench.load '{"port": 8000, "key": "sk-…", "model": "frames-64", "stream": true,
"connections": 16, "seconds": 5, "prompt": 4000}'`. A connection asks again as soon as it has its answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import uvloop


@dataclass
class Seen:
    """What all connections saw; times in seconds."""

    seconds: list[float] = field(default_factory=list)
    first_byte: list[float] = field(default_factory=list)
    frames: int = 0
    wrong_frames: int = 0
    failed: int = 0


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, frames: int, seen: Seen, until: float) -> None:
        self._request, self._frames, self._seen, self._until = request, frames, seen, until
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self._seen.failed += 1
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """Count frames (called by the parser)."""
        if self._first is None:
            self._first = time.perf_counter()
        # A frame may end in one piece and a half.
        self._count += data.count(b"\n\n") + (self._last == 10 and data[:1] == b"\n")
        self._last = data[-1]

    def on_message_complete(self) -> None:
        """Note the answer and ask again (called by the parser)."""
        now = time.perf_counter()
        if self._parser.get_status_code() != 200:
            self._seen.failed += 1
        else:
            self._seen.seconds.append(now - self._began)
            self._seen.first_byte.append((self._first or now) - self._began)
            self._seen.frames += self._count
            self._seen.wrong_frames += self._count != self._frames
        if now < self._until:
            self._ask()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _ask(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._first: float | None = None
        self._count, self._last = 0, 0
        self._began = time.perf_counter()
        self._transport.write(self._request)


def _request(asked: dict[str, Any]) -> bytes:
    words = "Lorem ipsum dolor sit amet consectetur. "
    prompt = (words * (asked["prompt"] // len(words) + 1))[: asked["prompt"]]
    document: dict[str, Any] = {"model": asked["model"], "messages": [{"role": "user", "content": prompt}]}
    if asked["stream"]:
        document["stream"] = True
    body = json.dumps(document).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {asked['key']}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _frames_of(asked: dict[str, Any]) -> int:
    # The upstream's words, the end of the sentence among them, and [DONE]; usage goes only to who asks,
    # but the upstream itself sends it to everybody.
    if not asked["stream"]:
        return 0
    return int(asked["model"].split("-")[1]) + 1 + bool(asked.get("usage_frame"))


async def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """Ask for `seconds`; returns latencies in ms, sorted, and totals."""
    loop, seen, request = asyncio.get_running_loop(), Seen(), _request(asked)
    began = time.perf_counter()
    until = began + asked["seconds"]
    clients = [
        (
            await loop.create_connection(
                lambda: _Client(request, _frames_of(asked), seen, until), "127.0.0.1", asked["port"]
            )
        )[1]
        for _ in range(asked["connections"])
    ]
    await asyncio.gather(*(client.done for client in clients))
    return {
        "wall": time.perf_counter() - began,
        "ms": sorted(round(1000 * s, 4) for s in seen.seconds),
        "first_ms": sorted(round(1000 * s, 4) for s in seen.first_byte),
        "frames": seen.frames,
        "wrong_frames": seen.wrong_frames,
        "failed": seen.failed,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(json.loads(sys.argv[1])))))  # noqa: T201 - the answer
