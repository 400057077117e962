"""Puts the portal's parts together and runs them until told to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from aiplat.cluster.raw import RawObjects
from aiplat.errors import BadInput, Finding
from aiplat.services.background import Task, in_background
from aiplat.services.bounds import BODY_SECONDS
from aiplat.services.connections import Doors, server
from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.settings import Client, read_sign_in
from aiplat.services.pages import serve_pages
from aiplat.services.people.desk import desk_of
from aiplat.services.people.follow import keep_up
from aiplat.services.portal.alerts import Alerts, Runbook
from aiplat.services.portal.app import create_app
from aiplat.services.portal.cluster import look
from aiplat.services.portal.context import Portal
from aiplat.services.portal.gateway import Gateway
from aiplat.services.portal.logs import LogsLook, places_of
from aiplat.services.portal.runs import RunsLook
from aiplat.services.portal.settings import PortalSettings
from aiplat.services.portal.visitors import Seal
from aiplat.services.store.database import Database
from aiplat.services.store.migrate import upgrade

_MANAGER = "aiplat-portal"
_GRACE_SECONDS = 5


async def run(settings: PortalSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BadInput: a file cannot be read, or the database is of a newer version.
        Unreachable: the database does not answer.
    """
    database = Database.open(settings.database, password_file=settings.database_password_file)
    try:
        await upgrade(database)
        portal = _portal(settings, database)
        doors = Doors(body_seconds=BODY_SECONDS)
        listen = (settings.host, settings.port)
        async with AsyncExitStack() as stack:
            health = {"/healthz": lambda: (200, b"ok\n")}
            await stack.enter_async_context(serve_pages(settings.host, settings.health_port, health))
            for work in _work(portal):
                await stack.enter_async_context(in_background(work, lambda _: None))
            await server(create_app(portal), listen, grace=_GRACE_SECONDS, doors=doors).serve()
    finally:
        await database.close()


def _portal(settings: PortalSettings, database: Database) -> Portal:
    if settings.kubeconfig:
        objects = RawObjects.of_kubeconfig(settings.kubeconfig, _MANAGER)
    else:
        objects = RawObjects.in_cluster(_MANAGER)
    components = _components(settings.components)
    places = places_of(components)
    platform = sorted({place.namespace for place in places.values()})
    return Portal(
        site=settings.site,
        url=settings.url,
        database=database,
        gateway=Gateway(settings.gateway, settings.gateway_ca),
        look=partial(look, objects),
        seal=Seal(_read(settings.token_file).strip()),
        components=components,
        secure=not settings.insecure_cookie,
        entry=_entry(settings),
        runs=RunsLook(objects, settings.namespace, platform),
        logs=LogsLook(objects, places),
        alerts=Alerts(settings.prometheus, Runbook.shipped()) if settings.prometheus else None,
    )


def _work(portal: Portal) -> list[Task]:
    """Return what the portal does beside answering: following the site's own sign-in."""
    if portal.entry is None or not portal.entry.sign_in.people:
        return []
    return [Task("people", partial(keep_up, desk_of(portal.entry, portal.database)))]


def _entry(settings: PortalSettings) -> Entry | None:
    known = read_sign_in(settings.sign_in) if settings.sign_in else None
    if known is None or settings.sign_in_client is None:
        return None
    return Entry.of(known, Client.of_folder(settings.sign_in_client))


def _components(path: Path | None) -> tuple[Mapping[str, Any], ...]:
    try:
        return tuple(json.loads(_read(path))) if path else ()
    except ValueError as error:
        raise BadInput(Finding(str(path), f"is not JSON: {error}")) from error


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise BadInput(Finding(str(path), str(error.strerror))) from error
