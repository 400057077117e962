"""Exchanges a site's secrets for new ones, with the former kept until the new are seen to work."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any

from aiplat.errors import BadInput, Finding
from aiplat.site.models import Site
from aiplat.vault.generated import OF_COMPONENT, generate, generated_identity, new_api_key, new_password
from aiplat.vault.pki import make_ca
from aiplat.vault.store import Former, SiteSecrets, new_token, renewed, token_identity

ROTATED = {
    "api-key": "api key",
    "ca": "ca",
    "database-password": "postgres password",
    "k3s-token": "k3s token",
}
"""What of every site can be rotated, as people call it, and the name of its identity."""

# These are accepted beside the new one for a whole run, so that nobody is cut off meanwhile.
_OVERLAP = ("api key", "ca")


def rotated(
    site: Site, known: SiteSecrets, names: Collection[str], now: datetime | None = None
) -> SiteSecrets:
    """Return the secrets with new ones under these names; nothing of the site uses them yet.

    Raises:
        BadInput: a name is not known, or its last rotation is not carried out yet.
    """
    findings = [finding for name in names for finding in _problems(known, name)]
    if findings:
        raise BadInput(findings)
    fresh: dict[str, Any] = {}
    former = dict(known.former)
    for name in (n for n in names if n in ROTATED):
        field, value, before = _fresh(site, known, name, now)
        fresh[field] = value
        former[ROTATED[name]] = Former(value=before)
    generated = {n: generate(known.generated[n].kind) for n in names if n not in ROTATED}
    # Whatever uses one reads its Secret: nobody needs the former any more.
    former |= {generated_identity(name): Former(value="") for name in generated}
    fresh["generated"] = known.generated | generated
    if "k3s-token" in names:
        fresh["retired"] = (*known.retired, token_identity(known.k3s_token))
    # The certificates too, so that a plan says all that comes of it.
    return renewed(site, known.model_copy(update={**fresh, "former": former}), now)


def installed(known: SiteSecrets) -> SiteSecrets:
    """Return the secrets after a run that brought them to where they are used; what it withdrew is gone."""
    kept = {n: f for n, f in known.former.items() if f.stage != "proven"}
    return _with(known, {n: _at(f, "installed") for n, f in kept.items()})


def proven(known: SiteSecrets) -> SiteSecrets:
    """Return the secrets after everything was seen to work with them.

    What overlaps is withdrawn by the next run; of the rest nothing is left to withdraw.
    """
    done = {n for n, f in known.former.items() if f.stage == "installed" and n not in _OVERLAP}
    kept = {n: f for n, f in known.former.items() if n not in done}
    return _with(known, {n: _at(f, "proven") if f.stage == "installed" else f for n, f in kept.items()})


def pending(known: SiteSecrets) -> dict[str, str]:
    """Return a sentence for each secret that is being rotated, by the name of its identity."""
    return {name: _sentence(name, before.stage) for name, before in known.former.items()}


def _sentence(name: str, stage: str) -> str:
    if stage == "proven":
        gone = {"api key": "the former API key is withdrawn", "ca": "the former site CA is no longer trusted"}
        return gone.get(name, f"the former {name} is forgotten")
    if name.startswith(OF_COMPONENT):
        return f"the secret {name.removeprefix(OF_COMPONENT)} is rotated"
    said = {
        "api key": "the API key is rotated; the former one is accepted until the next bootstrap after this",
        "ca": "the site CA is rotated; the former one is trusted until the next bootstrap after this",
        "k3s token": "the k3s token is rotated",
        "postgres password": "the database's password is rotated",
    }
    return said[name]


def _problems(known: SiteSecrets, name: str) -> list[Finding]:
    offered = (*ROTATED, *sorted(known.generated))
    if name not in offered:
        near = difflib.get_close_matches(name, offered, n=1)
        fix = f"did you mean {near[0]}?" if near else f"one of {', '.join(offered)}"
        return [Finding(name, "cannot be rotated", fix)]
    if ROTATED.get(name, generated_identity(name)) in known.former:
        problem = "its last rotation is not carried out yet"
        return [Finding(name, problem, "run `aiplat bootstrap` until its plan has nothing to do")]
    return []


def _fresh(site: Site, known: SiteSecrets, name: str, now: datetime | None) -> tuple[str, Any, str]:
    """Return the field, its new value and what it was before."""
    if name == "ca":
        serial = secrets.token_hex(4)
        return "ca", make_ca(f"{site.name} {serial}", now), known.ca.crt
    makers = {
        "api-key": ("api_key", new_api_key),
        "database-password": ("postgres_password", new_password),
        "k3s-token": ("k3s_token", new_token),
    }
    field, make = makers[name]
    return field, make(), getattr(known, field)


def _at(before: Former, stage: str) -> Former:
    return before.model_copy(update={"stage": stage})


def _with(known: SiteSecrets, former: dict[str, Former]) -> SiteSecrets:
    return known.model_copy(update={"former": former})
