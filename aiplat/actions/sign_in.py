"""`aiplat sign-in`: who signs people in at a site, and what a company's own provider must know of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aiplat.catalog.resolve import components_on
from aiplat.errors import BadInput, Finding
from aiplat.frozen import Frozen
from aiplat.plan.sign_in import sign_in
from aiplat.site.models import Site


class Registration(Frozen):
    """One client as it is to be registered: addresses that people come back to, after signing in and out."""

    id: str
    public: bool
    redirect_uris: tuple[str, ...] = Field(alias="redirectUris")
    logout_uris: tuple[str, ...] = Field(alias="postLogoutRedirectUris")


class SiteSignIn(Frozen):
    """A site's sign-in: whose it is, its issuer, what is asked for, which groups stand for which role."""

    whose: Literal["site", "company"]
    issuer: str
    scopes: tuple[str, ...]
    user_claim: str = Field(alias="userClaim")
    groups_claim: str = Field(alias="groupsClaim")
    groups: dict[str, tuple[str, ...]]
    clients: tuple[Registration, ...]


def sign_in_of(site: Site) -> SiteSignIn:
    """Return a site's sign-in; clients of one id are one client.

    Raises:
        BadInput: nobody signs people in at this site.
    """
    known = sign_in(site, components_on(site), {})
    if not known:
        fix = "turn planes.access.canaille on, or name your company's provider under `signIn`"
        raise BadInput(Finding(f"site {site.name}", "has no sign-in", fix))
    ids = dict.fromkeys(client["id"] for client in known["clients"])
    return SiteSignIn(
        whose="site" if known["own"] else "company",
        issuer=known["issuer"],
        scopes=tuple(known["scopes"]),
        user_claim=known["userClaim"],
        groups_claim=known["groupsClaim"],
        groups={role: tuple(names) for role, names in known["groups"].items()},
        clients=tuple(_registration(one, [c for c in known["clients"] if c["id"] == one]) for one in ids),
    )


def _registration(client_id: str, parts: list[dict[str, Any]]) -> Registration:
    def every(name: str) -> list[str]:
        return list(dict.fromkeys(uri for part in parts for uri in part[name]))

    return Registration(
        id=client_id,
        public=all(part["public"] for part in parts),
        redirect_uris=tuple(every("redirectUris")),
        logout_uris=tuple(every("postLogoutRedirectUris")),
    )
