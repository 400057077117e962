"""Canaille as a site runs it: one application, made of a TOML and of secrets that lie in files beside it."""

from __future__ import annotations

import time
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from authlib.oidc.core.grants.util import generate_id_token
from blinker import signal
from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from canaille.oidc import provider as oidc
from flask import Flask
from joserfc.jwk import RSAKey
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from aiplat.services.signin.ended import watch
from aiplat.services.signin.look import put_on

_LOCK = 0x51671
"""PostgreSQL's advisory lock that one replica holds while it brings schema and clients up to date."""
_PATIENCE = 300.0
_PAUSE = 2.0


def settings(folder: Path) -> dict[str, Any]:
    """Return Canaille's whole configuration: `canaille.toml`, and the secrets in the folders beside it."""
    found = tomllib.loads((folder / "canaille.toml").read_text())
    found["SECRET_KEY"] = _secret(folder / "session" / "token")
    found.setdefault("CANAILLE_SQL", {})["DATABASE_URI"] = _driven(_secret(folder / "database" / "url"))
    key = RSAKey.import_key(_secret(folder / "signing" / "private.pem"))
    found.setdefault("CANAILLE_OIDC", {})["ACTIVE_JWKS"] = [key.as_dict(private=True)]
    password = folder / "smtp" / "password"
    if password.is_file():
        found["CANAILLE"].setdefault("SMTP", {})["PASSWORD"] = _secret(password)
    return found


def provider(folder: Path) -> Flask:
    """Return the application; it neither changes the database nor asks it yet."""
    application = create_app(config=settings(folder), init_backend=False)
    # Canaille leaves the library's default, an hour; and a refresh brings no new id_token.
    oidc.OpenIDCode.DEFAULT_EXPIRES_IN = application.config["OAUTH2_TOKEN_EXPIRES_IN"]["authorization_code"]
    oidc.generate_id_token = _unlike_others
    signal("before_user_delete").connect(forget)
    put_on(application)
    watch(application)
    return application


@contextmanager
def alone(patience: float = _PATIENCE) -> Iterator[None]:
    """Hold off the other replicas; wait for the database first, which may start at the same time.

    Raises:
        OperationalError: the database did not answer in time.
    """
    engine: Engine = Backend.instance.engine
    with _answering(engine, patience) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield


def _unlike_others(*, user_info: dict[str, Any], **claims: Any) -> Any:
    """Return an access token with a number of its own.

    Two of one person for one client in one second would be the same text, which the database refuses: two
    tabs opened at once would end in an error.
    """
    return generate_id_token(user_info={**user_info, "jti": uuid.uuid4().hex}, **claims)


def forget(user: Any, **_: Any) -> None:
    """Remove a person's codes, tokens and consents; Canaille leaves them, for nobody, when it removes one."""
    for model in (models.AuthorizationCode, models.Token, models.Consent):
        for held in Backend.instance.query(model, subject=user):
            Backend.instance.delete(held)


def _secret(path: Path) -> str:
    return path.read_text().strip()


def _driven(url: str) -> str:
    """Return the URL with the driver that the image has: SQLAlchemy takes another one by default."""
    made = make_url(url)
    if made.drivername == "postgresql":
        made = made.set(drivername="postgresql+psycopg2")
    return made.render_as_string(hide_password=False)


def _answering(engine: Engine, patience: float) -> Connection:
    until = time.monotonic() + patience
    while True:
        try:
            return engine.connect()
        except OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
