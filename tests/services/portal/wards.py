"""A portal with a sign-in and a gateway: Canaille keeps people, an issuer on loopback signs them in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.settings import Client, SignIn
from aiplat.services.people.desk import Desk, desk_of
from aiplat.services.portal.app import create_app
from aiplat.services.portal.gateway import Gateway
from tests.patience import PATIENCE, eventually
from tests.services.api.conftest import People
from tests.services.gateway.alone import BODY, alone
from tests.services.gateway.engine import Engine
from tests.services.oidc.issuer import TestIssuer
from tests.services.portal.conftest import HOST, Browser, Site
from tests.services.portal.test_by_name import CLI, api, came

SECRET = "the client's secret"
GROUPS = {role: (role,) for role in ("admin", "operator", "member")}
CLIENT = {
    "id": "portal",
    "secret": SECRET,
    "name": "portal",
    "uri": HOST,
    "redirectUris": [f"{HOST}/signed-in"],
    "authMethod": "client_secret_basic",
    "scopes": ["openid"],
    "managesPeople": True,
}
OTHER = CLIENT | {"id": "hub", "secret": "another secret", "managesPeople": False}


@dataclass
class Ward:
    """A portal with its sign-in: Canaille keeps the people, and an issuer on loopback signs them in.

    Browsers reach Canaille's own pages by its name alone, so tokens are another's, about Canaille's people.
    """

    site: Site
    issuer: TestIssuer
    desk: Desk
    admin: Browser

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the control API with an admin's key."""
        return api(self.admin, method, path, self.site.people.secrets["admin"], **more)

    def invited(self, name: str, *groups: str) -> dict[str, Any]:
        """Add somebody by the API and return the answer."""
        answer = self.ask("POST", "/people", json={"user": name, "groups": list(groups)})
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def who(self, person: dict[str, Any]) -> dict[str, Any]:
        """Return what the issuer says of somebody."""
        told = person["person"]
        groups = told["account"]["groups"]
        return {"sub": told["subject"], "preferred_username": told["name"], "groups": groups}

    def audit(self, person: str) -> list[str]:
        """Return what the trail says of somebody, oldest first."""
        entries = self.ask("GET", f"/audit?subject={person}").json()["entries"]
        return [entry["action"] for entry in reversed(entries)]


def entry_of(issuer: str, people: str) -> Entry:
    """Return the site's sign-in as the portal has it."""
    told = {"issuer": issuer, "url": HOST, "cli": CLI, "groups": GROUPS, "people": people}
    return Entry.of(SignIn.model_validate(told), Client("portal", SECRET))


@contextmanager
def warded(site: Site, canaille: str) -> Iterator[Ward]:
    """Give a portal in front of the gateway a sign-in."""
    issuer = TestIssuer(redirects={"portal": (f"{HOST}/signed-in",)})
    site.portal = replace(site.portal, entry=entry_of(issuer.url, canaille))
    site.app = create_app(site.portal)
    yield Ward(site, issuer, desk_of(site.portal.entry, site.database), site.browser("admin"))
    issuer.close()


@dataclass
class Served:
    """A portal and a gateway over one database; `call` asks the gateway with a secret."""

    ward: Ward
    url: str

    def call(self, secret: str) -> int:
        """Return the status of a call of a model."""
        headers = {"authorization": f"Bearer {secret}"}
        asked = f"{self.url}/v1/completions"
        return httpx.post(asked, json=BODY, headers=headers, timeout=PATIENCE).status_code

    def becomes(self, secret: str, status: int) -> bool:
        """Wait until the gateway answers a secret by a status."""
        return eventually(lambda: self.call(secret) == status)

    def keyed(self, name: str) -> tuple[dict[str, Any], Browser, str]:
        """Return somebody in a team who signed in and made a key that works, with browser and secret."""
        person = self.ward.invited(name, "member")
        browser = came(self.ward.site, self.ward.issuer, self.ward.who(person))
        path = f"/people/{person['person']['id']}"
        assert self.ward.ask("PATCH", path, json={"team": "red"}).status_code == 200
        made = api(browser, "POST", "/me/keys", self.ward.issuer.token(CLI), json={"name": "mine"})
        assert self.becomes(made.json()["secret"], 200)
        return person["person"], browser, made.json()["secret"]


@contextmanager
def served_by(people: People, engine: Engine, canaille: str, folder: Path) -> Iterator[Served]:
    """They share a database, as in a site."""
    site = Site(people, folder, Gateway("http://127.0.0.1:1/v1"))
    issuer = TestIssuer(redirects={"portal": (f"{HOST}/signed-in",)})
    site.portal = replace(site.portal, entry=entry_of(issuer.url, canaille))
    site.app = create_app(site.portal)
    (folder / "gateway").mkdir()
    with alone(folder / "gateway", engine, f"sqlite:///{folder / 'accounts.db'}") as gateway:
        desk = desk_of(site.portal.entry, site.database)
        yield Served(Ward(site, issuer, desk, site.browser("admin")), gateway.url)
    site.close()
    issuer.close()
