"""Canaille as a site runs it: one application, made of a TOML and of secrets that lie in files beside it."""

from __future__ import annotations

import tomllib
import uuid
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
from sqlalchemy.engine import make_url

from aiplat.services.signin import kept
from aiplat.services.signin.clients import clients_of
from aiplat.services.signin.ended import watch
from aiplat.services.signin.look import put_on


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
    kept.watch(application, _people_at(folder))
    return application


def _people_at(folder: Path) -> str:
    """Return the page where an admin manages people, empty where no component has one."""
    managers = [client["uri"] for client in clients_of(folder) if client.get("managesPeople")]
    return f"{managers[0]}/people" if managers and managers[0] else ""


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
            # Written with the change that they go for: where that is refused, they stay.
            Backend.instance.db_session.delete(held)


def _secret(path: Path) -> str:
    return path.read_text().strip()


def _driven(url: str) -> str:
    """Return the URL with the driver that the image has: SQLAlchemy takes another one by default."""
    made = make_url(url)
    if made.drivername == "postgresql":
        made = made.set(drivername="postgresql+psycopg2")
    return made.render_as_string(hide_password=False)
