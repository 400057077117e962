"""What is to stand in Canaille: the clients that components need, and the site's groups; never people."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from canaille.app import models
from canaille.backends import Backend

from aiplat.services.signin.kept import GROUPS, managing

_FLOW = {"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}


def clients_of(folder: Path) -> list[dict[str, Any]]:
    """Return the clients that components need, from the folder of the pod."""
    found: list[dict[str, Any]] = json.loads((folder / "clients" / "clients.json").read_text())
    return found


def seed(wanted: Iterable[Mapping[str, Any]]) -> None:
    """Make groups and clients what they are to be; a client that nobody needs any more is removed."""
    for name, description in GROUPS.items():
        if not Backend.instance.get(models.Group, display_name=name):
            with managing():
                Backend.instance.save(models.Group(display_name=name, description=description))
    kept = {_made(entry) for entry in wanted}
    for client in Backend.instance.query(models.Client):
        if client.client_id not in kept:
            Backend.instance.delete(client)


def _made(entry: Mapping[str, Any]) -> str:
    client = Backend.instance.get(models.Client, client_id=entry["id"])
    if client is None:
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        client = models.Client(client_id=entry["id"], client_id_issued_at=now)
    changed = [name for name, value in _attributes(entry).items() if _set(client, name, value)]
    if changed:
        Backend.instance.save(client)
    # Only a client that is there can be its own audience; without one, id_tokens are for nobody.
    if list(client.audience) != [client]:
        client.audience = [client]
        Backend.instance.save(client)
    return str(client.client_id)


def _attributes(entry: Mapping[str, Any]) -> dict[str, Any]:
    secret = entry.get("secret")
    return _FLOW | {
        "client_name": entry["name"],
        "client_uri": entry["uri"],  # inside TRUSTED_DOMAINS: people are not asked for their consent
        "client_secret": secret,
        "redirect_uris": list(entry["redirectUris"]),
        "post_logout_redirect_uris": list(entry.get("postLogoutRedirectUris", ())),
        "token_endpoint_auth_method": entry["authMethod"] if secret else "none",
        "scope": list(entry["scopes"]),
        # Else the key's own choice, RS512, which few programs read.
        "id_token_signed_response_alg": "RS256",
    }


def _set(client: Any, name: str, value: Any) -> bool:
    before = getattr(client, name)
    if (list(before or ()) if isinstance(value, list) else before) == value:
        return False
    setattr(client, name, value)
    return True
