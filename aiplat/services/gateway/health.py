"""The health port: alive, ready, metrics; plain HTTP without a key, so it tells nothing of any request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from aiplat.services.bounds import END_SECONDS
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.models import ModelTable


@asynccontextmanager
async def health_port(host: str, port: int, table: ModelTable, metrics: Metrics) -> AsyncIterator[int]:
    """Serve /healthz, /readyz and /metrics; yields the port, which differs when 0 was asked for."""

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        if table.ready:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the models have not been listed yet\n")

    async def show(_: web.Request) -> web.Response:
        metrics.models.set(len(table.all()))
        return web.Response(body=metrics.text(), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", show)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=END_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
