"""Puts the gateway's parts together and runs them until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from aiplat.errors import BadInput
from aiplat.services.gateway.app import GatewayApp
from aiplat.services.gateway.auth import FileKeyStore, KeyStore, NoKeys
from aiplat.services.gateway.calls import Backends
from aiplat.services.gateway.config import AccountsConfig, AloneConfig, read_config
from aiplat.services.gateway.discovery import ServiceWatch, api_server
from aiplat.services.gateway.egress import Egress
from aiplat.services.gateway.exchange import BodyBudget
from aiplat.services.gateway.health import health_port
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.models import ModelTable
from aiplat.services.gateway.proxy import Upstreams
from aiplat.services.gateway.reload import reload_on_change
from aiplat.services.gateway.replicas import Pools
from aiplat.services.gateway.routes import RouteFile
from aiplat.services.gateway.settings import Settings

if TYPE_CHECKING:
    from aiplat.services.gateway.accounts import Accounts

log = logging.getLogger("aiplat.gateway")

_GRACE_SECONDS = 25
_FLUSH_SECONDS = 1.0


class _Server(uvicorn.Server):
    """uvicorn, except that a signal only asks it to stop: what else is open is then closed in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = asyncio.create_task(self._end_when_answered())
        await super().shutdown(sockets)
        ending.cancel()

    async def _end_when_answered(self) -> None:
        # A client that keeps its connection open without reading would otherwise hold the port for as
        # long as the longest answer may take.
        while self.server_state.tasks:
            await asyncio.sleep(0.05)
        await asyncio.sleep(_FLUSH_SECONDS)
        self.force_exit = True


def _server(app: GatewayApp, settings: Settings) -> _Server:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    config.load()
    return _Server(config)


def _watchers(
    settings: Settings, backends: Backends, keys: FileKeyStore | None, server: uvicorn.Server
) -> list[Coroutine[None, None, None]]:
    table = backends.table
    work = [reload_on_change((keys.folder,), keys.reload)] if keys else []
    if settings.config is not None:
        work.append(_follow_config(settings.config, backends))
    if (routes := settings.static or settings.routes) is not None:
        file = RouteFile(routes, table, backends.upstreams.egress, backends.providers)
        file.load()
        work.append(reload_on_change(file.paths, file.load))
    if settings.static is not None:
        table.replace((), ready=True)
    if settings.namespace is not None:
        work.append(ServiceWatch(table, settings.namespace, api_server()).run())
    context, cert, key = server.config.ssl, settings.tls_cert, settings.tls_key
    if context is not None and cert is not None and key is not None:
        # Connections made from now on get the new certificate; open ones are left alone.
        work.append(reload_on_change((cert, key), lambda: context.load_cert_chain(cert, key)))
    return work


def _follow_config(path: Path, backends: Backends) -> Coroutine[None, None, None]:
    file = RouteFile(path, backends.table, backends.upstreams.egress, backends.providers)

    def load() -> None:
        try:
            file.apply(read_config(path, AloneConfig))
        except BadInput as error:
            raise ValueError(str(error)) from None

    load()
    backends.table.replace((), ready=True)
    return reload_on_change(file.paths, load)


@contextlib.asynccontextmanager
async def _accounts(
    settings: Settings, keys: KeyStore | None, table: ModelTable, metrics: Metrics
) -> AsyncIterator[Accounts | None]:
    if settings.config is not None:
        config: AccountsConfig = read_config(settings.config, AloneConfig)
    elif settings.accounts is not None:
        config = read_config(settings.accounts, AccountsConfig)
    else:
        yield None
        return
    # A gateway without accounts loads no database's libraries.
    from aiplat.services.gateway.accounts import open_accounts  # noqa: PLC0415

    async with open_accounts(config, keys, table, metrics.registry) as accounts:
        yield accounts


@contextlib.asynccontextmanager
async def _background(work: Coroutine[None, None, None], server: uvicorn.Server) -> AsyncIterator[None]:
    def stop(task: asyncio.Task[None]) -> None:
        # A watcher that died would leave a gateway that looks well and never learns anything again.
        if not task.cancelled():
            server.should_exit = True

    task = asyncio.create_task(work)
    task.add_done_callback(stop)
    try:
        yield
    finally:
        task.remove_done_callback(stop)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let answers under way finish.

    Raises:
        OSError, ValueError, BadInput: keys, models, certificate or accounts cannot be worked with.
    """
    files = FileKeyStore(settings.keys) if settings.keys else None
    table, metrics, pools = ModelTable(), Metrics(), Pools()
    table.follow(pools.update)
    metrics.show_pools(pools)
    async with contextlib.AsyncExitStack() as stack:
        upstreams = await stack.enter_async_context(Upstreams(Egress()))
        budget = BodyBudget(settings.max_body_mib << 20, settings.max_bodies_mib << 20)
        backends = Backends(table, upstreams, budget, metrics, pools)
        keys: KeyStore = files or NoKeys()
        accounts = await stack.enter_async_context(_accounts(settings, files, table, metrics))
        if accounts is not None:
            keys = accounts.keys
            backends = replace(backends, gate=accounts.gate, audit=accounts.gate.audit)
        server = _server(GatewayApp(keys, backends, metrics), settings)
        for work in (*(accounts.work if accounts else ()), *_watchers(settings, backends, files, server)):
            await stack.enter_async_context(_background(work, server))
        health = health_port(settings.host, settings.health_port, table, metrics)
        port = await stack.enter_async_context(health)
        log.info("listening on %s:%d, health on port %d", settings.host, settings.port, port)
        await server.serve()
        log.info("stopped")
