"""Puts the gateway's parts together and runs them until told to stop."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from aiplat.errors import BadInput
from aiplat.services.background import Task, in_background
from aiplat.services.bounds import BODY_SECONDS
from aiplat.services.connections import Doors, Server, server
from aiplat.services.gateway.app import GatewayApp
from aiplat.services.gateway.config.files import AccountsConfig, AloneConfig, read_config
from aiplat.services.gateway.config.reload import reload_on_change
from aiplat.services.gateway.config.routes import RouteFile
from aiplat.services.gateway.health import health_port
from aiplat.services.gateway.http.bodies import Memory
from aiplat.services.gateway.http.certificate import ends_at
from aiplat.services.gateway.http.cors import Cors
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.requests.auth import FileKeyStore, KeyStore, NoKeys
from aiplat.services.gateway.requests.trace import Tracer
from aiplat.services.gateway.routing.discovery import ServiceWatch, api_server
from aiplat.services.gateway.routing.egress import Egress
from aiplat.services.gateway.routing.models import ModelTable
from aiplat.services.gateway.routing.replicas import Pools
from aiplat.services.gateway.settings import GatewaySettings
from aiplat.services.gateway.upstream.backends import Backends
from aiplat.services.gateway.upstream.connections import Upstreams

if TYPE_CHECKING:
    from aiplat.services.gateway.accounting import Accounts

log = logging.getLogger("aiplat.gateway")

_GRACE_SECONDS = 25


def _server(app: GatewayApp, settings: GatewaySettings) -> Server:
    return server(
        app,
        (settings.host, settings.port),
        (settings.tls_cert, settings.tls_key),
        grace=_GRACE_SECONDS,
        doors=Doors(body_seconds=BODY_SECONDS),
    )


def _watchers(
    settings: GatewaySettings,
    backends: Backends,
    metrics: Metrics,
    keys: FileKeyStore | None,
    server: uvicorn.Server,
) -> list[Task]:
    table = backends.table
    work: list[Task] = [_following("keys", (keys.folder,), keys.reload)] if keys else []
    if settings.config is not None:
        work.append(_follow_config(settings.config, backends))
    if (routes := settings.static or settings.routes) is not None:
        file = RouteFile(routes, table, backends.upstreams.egress, backends.providers)
        file.load()
        work.append(_following("routes", file.paths, file.load))
    if settings.static is not None:
        table.replace((), ready=True)
    if settings.namespace is not None:
        work.append(Task("models", ServiceWatch(table, settings.namespace, api_server()).run))
    context, cert, key = server.config.ssl, settings.tls_cert, settings.tls_key
    if context is not None and cert is not None and key is not None:
        metrics.certificate_ends(ends_at(cert, key))
        read = partial(_read_certificate, context, (cert, key), metrics)
        work.append(_following("certificate", (cert, key), read))
    return work


def _read_certificate(context: ssl.SSLContext, files: tuple[Path, Path], metrics: Metrics) -> None:
    """Have connections made from now on get the new certificate; open ones are left alone."""
    context.load_cert_chain(*files)
    metrics.certificate_ends(ends_at(*files))


def _following(
    name: str, paths: tuple[Path, ...] | Callable[[], tuple[Path, ...]], read: Callable[[], None]
) -> Task:
    return Task(name, partial(reload_on_change, paths, read))


def _follow_config(path: Path, backends: Backends) -> Task:
    file = RouteFile(path, backends.table, backends.upstreams.egress, backends.providers)

    def load() -> None:
        try:
            file.apply(read_config(path, AloneConfig))
        except BadInput as error:
            raise ValueError(str(error)) from None

    load()
    backends.table.replace((), ready=True)
    return _following("configuration", file.paths, load)


@contextlib.asynccontextmanager
async def _accounts(
    settings: GatewaySettings, keys: KeyStore | None, table: ModelTable, metrics: Metrics
) -> AsyncIterator[Accounts | None]:
    if settings.config is not None:
        config: AccountsConfig = read_config(settings.config, AloneConfig)
    elif settings.accounts is not None:
        config = read_config(settings.accounts, AccountsConfig)
    else:
        yield None
        return
    # A gateway without accounts loads no database's libraries.
    from aiplat.services.gateway.accounting import open_accounts  # noqa: PLC0415

    async with open_accounts(config, keys, table, metrics.registry) as accounts:
        yield accounts


@contextlib.asynccontextmanager
async def _tracing(settings: GatewaySettings, egress: Egress) -> AsyncIterator[Tracer | None]:
    if settings.telemetry is None:
        yield None
        return
    # A gateway without traces loads none of their libraries.
    from aiplat.services.gateway.tracing.export import tracing  # noqa: PLC0415

    async with tracing(settings.telemetry, egress) as tracer:
        yield tracer


async def run(settings: GatewaySettings) -> None:
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
        memory = Memory(settings.max_body_mib << 20, settings.max_bodies_mib << 20)
        backends = Backends(table, upstreams, memory, metrics, pools)
        keys: KeyStore = files or NoKeys()
        accounts = await stack.enter_async_context(_accounts(settings, files, table, metrics))
        if accounts is not None:
            keys = accounts.keys
            backends = replace(backends, admission=accounts.admission, audit=accounts.admission.audit)
        tracer = await stack.enter_async_context(_tracing(settings, upstreams.egress))
        app = GatewayApp(keys, backends, metrics, Cors(settings.cors_origins), tracer)
        serving = _server(app, settings)
        for work in (
            *(accounts.work if accounts else ()),
            *_watchers(settings, backends, metrics, files, serving),
        ):
            await stack.enter_async_context(in_background(work, metrics.restarted))
        health = health_port(settings.host, settings.health_port, table, metrics)
        port = await stack.enter_async_context(health)
        log.info("listening on %s:%d, health on port %d", settings.host, settings.port, port)
        await serving.serve()
        log.info("stopped")
