"""The health port: alive, ready, metrics; plain HTTP without a key, so it tells nothing of any request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from aiplat.services.bounds import END_SECONDS, HEAD_SECONDS, HEALTH_CONNECTIONS
from aiplat.services.connections import Doors, server
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.models import ModelTable

_Said = tuple[int, bytes]


@asynccontextmanager
async def health_port(host: str, port: int, table: ModelTable, metrics: Metrics) -> AsyncIterator[int]:
    """Serve /healthz, /readyz and /metrics; yields the port, which differs when 0 was asked for.

    Raises:
        OSError: nobody can listen there.
    """

    def alive() -> _Said:
        return 200, b"ok\n"

    def ready() -> _Said:
        return (200, b"ok\n") if table.ready else (503, b"the models have not been listed yet\n")

    def show() -> _Said:
        metrics.models.set(len(table.all()))
        return 200, metrics.text()

    app = _Pages({"/healthz": alive, "/readyz": ready, "/metrics": show})
    # The gateway's own limits hold here too: whoever asks nothing makes room for whoever asks.
    doors = Doors(HEALTH_CONNECTIONS, body_seconds=HEAD_SECONDS)
    serving = server(app, (host, port), grace=int(END_SECONDS), doors=doors)
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

    def __init__(self, pages: dict[str, Callable[[], _Said]]) -> None:
        self._pages = pages

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],  # noqa: ARG002 - nothing is sent here
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        page = self._pages.get(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        status, body = page() if page else (404, b"there is /healthz, /readyz and /metrics\n")
        head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})
