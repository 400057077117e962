"""Starts Canaille's pages: schema, groups and clients first, by one replica at a time, then requests."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from asgiref.wsgi import WsgiToAsgi
from canaille.app.installation import install
from flask import Flask
from hypercorn.asyncio import serve as answer
from hypercorn.config import Config
from werkzeug.middleware.proxy_fix import ProxyFix

from aiplat.services.signin.administration import administration
from aiplat.services.signin.alone import alone
from aiplat.services.signin.bodies import BoundedBodies, Room
from aiplat.services.signin.clients import clients_of, seed
from aiplat.services.signin.ended import make_table
from aiplat.services.signin.provider import provider

_LEAVE = 10.0
"""Seconds that requests have to end when the pod is stopped."""


def prepared(folder: Path) -> Flask:
    """Return the application with its schema, groups and clients brought up to date."""
    application = provider(folder)
    with application.app_context(), alone():
        install(application)
        make_table()
        seed(clients_of(folder))
    return application


def run(folder: Path, port: int, administration_port: int) -> None:
    """Serve pages and the programs that manage people until the process is told to end."""
    application = prepared(folder)
    # Bringing the schema up to date leaves the root a handler of its own, which would write each line again.
    application.logger.propagate = False
    door = administration(application, clients_of(folder))
    # The ingress alone reaches the pod; it drops what browsers send of these headers.
    application.wsgi_app = ProxyFix(application.wsgi_app, x_for=1, x_proto=1, x_host=1)
    asyncio.run(_answer({port: application, administration_port: door}))


async def _answer(applications: Mapping[int, Flask]) -> None:
    told = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, told.set)
    room = Room()
    serving = [
        answer(
            BoundedBodies(WsgiToAsgi(application), application.config["MAX_CONTENT_LENGTH"], room),
            _config(port),
            shutdown_trigger=told.wait,
        )
        for port, application in applications.items()
    ]
    await asyncio.gather(*serving)


def _config(port: int) -> Config:
    config = Config()
    config.bind = [f"[::]:{port}"]
    config.graceful_timeout = _LEAVE
    # No access log: the links with which people set passwords are addresses.
    config.accesslog = None
    return config
