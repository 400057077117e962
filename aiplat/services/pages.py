"""A port of short texts without a key: alive, ready, metrics; within the limits that every port here has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from aiplat.services.bounds import END_SECONDS, HEAD_SECONDS, HEALTH_CONNECTIONS
from aiplat.services.connections import Doors, server

Said = tuple[int, bytes]


@asynccontextmanager
async def serve_pages(host: str, port: int, pages: Mapping[str, Callable[[], Said]]) -> AsyncIterator[int]:
    """Serve what each path's function returns; yields the port, which differs when 0 was asked for.

    Raises:
        OSError: nobody can listen there.
    """
    # Whoever asks nothing makes room for whoever asks.
    doors = Doors(HEALTH_CONNECTIONS, body_seconds=HEAD_SECONDS)
    serving = server(_Pages(pages), (host, port), grace=int(END_SECONDS), doors=doors)
    await serving.startup()
    sweeping = asyncio.create_task(serving.doors.run())
    try:
        yield int(serving.servers[0].sockets[0].getsockname()[1])
    finally:
        sweeping.cancel()
        for listening in serving.servers:
            listening.close()
        for connection in list(serving.doors.open):
            connection.cut()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping


class _Pages:
    """An ASGI application of texts that need no waiting."""

    def __init__(self, pages: Mapping[str, Callable[[], Said]]) -> None:
        self._pages = pages

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],  # noqa: ARG002 - nothing is sent here
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        page = self._pages.get(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        status, body = page() if page else (404, f"there is {', '.join(self._pages)}\n".encode())
        head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})
