"""Puts the API's parts together and runs them until told to stop."""

from __future__ import annotations

import logging

from aiplat.services.api.app import create_app
from aiplat.services.api.dependencies import ApiContext
from aiplat.services.api.first_key import ensure_admin
from aiplat.services.api.launch import Launcher
from aiplat.services.api.reports import Reports
from aiplat.services.api.settings import ApiSettings
from aiplat.services.bounds import BODY_SECONDS
from aiplat.services.connections import Doors, server
from aiplat.services.store.database import Database
from aiplat.services.store.migrate import upgrade
from aiplat.site.load import load_site
from aiplat.state import site_dir

log = logging.getLogger("aiplat.api")

_GRACE_SECONDS = 5


async def run(settings: ApiSettings) -> None:
    """Serve until SIGTERM or SIGINT. Runs that were started go on.

    Raises:
        BadInput: the site file cannot be worked with, or the database is of a newer version.
        Unreachable: the database does not answer.
    """
    site = load_site(settings.site)
    folder = site_dir(site.name)
    url = settings.database or f"sqlite:///{folder / 'accounts.db'}"
    database = Database.open(url, password_file=settings.database_password_file)
    try:
        await upgrade(database)
        made = await ensure_admin(database, folder, another=settings.new_admin_key)
        if made:
            log.info("a new admin key is in %s", made)
        launcher = None if settings.read_only else Launcher(settings.site.resolve())
        context = ApiContext(settings.site.resolve(), database, launcher, Reports())
        await _serve(context, settings)
    finally:
        await database.close()


async def _serve(context: ApiContext, settings: ApiSettings) -> None:
    listen = (settings.host, settings.port)
    certificate = (settings.tls_cert, settings.tls_key)
    doors = Doors(body_seconds=BODY_SECONDS)
    await server(create_app(context), listen, certificate, grace=_GRACE_SECONDS, doors=doors).serve()
