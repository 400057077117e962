"""What clients of the site's sign-in come to: where people come back to, secrets, and what may connect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from aiplat.catalog.components import Component
from aiplat.catalog.needs import Needs
from aiplat.plan.needs import connections, generated_names
from aiplat.plan.sign_in import client_objects, clients_file, sign_in
from aiplat.vault.generated import generate, generated_identity
from tests.catalog.test_needs import site
from tests.plan.test_site_routes import DOOR, LOGIN, PAGES, asks, component

LOGIN_PAGE = {"name": "login", "service": "issuer", "port": 8000, "groups": ["member"], "signIn": "own"}
ISSUER = component("issuer", needs={"routes": [LOGIN_PAGE]}, provides={"needs": {"oidcClients": {}}})


def with_client(name: str, client: dict[str, Any], **needs: Any) -> Component:
    """A component with one client of its own name or another."""
    return component(name, needs={**needs, "oidcClients": [{"redirectPaths": ["/back"], **client}]})


PORTAL = with_client("portal", {"name": "portal", "logoutPaths": ["/"]}, **asks("portal", 8000, signIn="own"))
PROXY = with_client("proxy", {"name": "pages", "hosts": "forwarded"})
CLI = with_client("tools", {"name": "cli", "hosts": "loopback", "public": True})
ON = (DOOR, LOGIN, ISSUER, PORTAL, PAGES, PROXY, CLI)
GENERATED = {name: generate(kind).entries for name, kind in generated_names(ON).items()}
DOMAIN = "ward-3.internal"


def clients() -> dict[str, dict[str, Any]]:
    """The clients of the site, by their ids."""
    return {client["id"]: client for client in sign_in(site(), ON, {})["clients"]}


def test_the_issuer_is_the_providers_own_route() -> None:
    """Everybody asks it by its name, which leads to the ingress inside the cluster too."""
    known = sign_in(site(), ON, {})
    assert (known["issuer"], known["host"]) == (f"https://login.{DOMAIN}", f"login.{DOMAIN}")
    assert known["address"].endswith(".12")
    assert known["groups"] == {"admin": ["admin"], "operator": ["operator"], "member": ["member"]}


def test_without_a_sign_in_there_are_no_clients() -> None:
    """Optional ones are left out, and nothing is generated for them."""
    on = (DOOR, PORTAL)
    assert sign_in(site(), on, {}) == {}
    assert generated_names(on) == {}
    assert list(client_objects(site(), on, {}, "")) == []


def test_people_come_back_to_the_hosts_of_whoever_asked() -> None:
    """Its own routes, every host that the sign-in is asked about, or loopback for a command line."""
    found = clients()
    assert found["portal"]["redirectUris"] == [f"https://portal.{DOMAIN}/back"]
    assert found["portal"]["postLogoutRedirectUris"] == [f"https://portal.{DOMAIN}/"]
    assert found["proxy-pages"]["redirectUris"] == [f"https://pages.{DOMAIN}/back"]
    assert found["tools-cli"]["redirectUris"] == [f"http://127.0.0.1:{p}/back" for p in (8400, 8401, 8402)]


def test_each_client_has_a_secret_of_its_own_but_public_ones() -> None:
    """A program on people's machines can keep none."""
    assert {n: k for n, k in generated_names(ON).items() if "oidc" in n} == {
        "portal/oidc-client/portal": "token",
        "proxy/oidc-client/pages": "token",
    }
    made = {entry["name"]: entry["stringData"] for _, entry in client_objects(site(), ON, GENERATED, "CA")}
    assert made["portal-oidc"] == {
        "client_id": "portal",
        "client_secret": GENERATED["portal/oidc-client/portal"]["token"],
        "issuer": f"https://login.{DOMAIN}",
        "ca.crt": "CA",
    }
    assert "client_secret" not in made["tools-cli-oidc"]


def test_the_provider_reads_all_clients_from_one_file() -> None:
    """With secrets there, without them in what is shown."""
    file = {client["id"]: client for client in json.loads(clients_file(site(), ON, GENERATED))}
    assert file["proxy-pages"]["secret"] == GENERATED["proxy/oidc-client/pages"]["token"]
    assert file["tools-cli"]["secret"] is None
    assert file["tools-cli"]["authMethod"] == "none"
    assert not [c for c in clients().values() if "secret" in c]


def test_a_new_secret_is_a_change_of_the_client() -> None:
    """What is shown says that it changed, and not what it is."""
    name = generated_identity("portal/oidc-client/portal")
    shown = {c["id"]: c["secretIdentity"] for c in sign_in(site(), ON, {name: "sha256:1"})["clients"]}
    assert shown["portal"] == "sha256:1"
    assert shown["tools-cli"] == ""


def test_pods_that_ask_the_issuer_may_connect_to_the_ingress() -> None:
    """Programs outside of the cluster need no such connection."""
    opened = {(c["from"]["component"], c["to"]["component"], c["port"]) for c in connections(ON)}
    assert {("portal", "door", 8443), ("proxy", "door", 8443)} <= opened
    assert ("tools", "door", 8443) not in opened


def test_a_client_needs_somewhere_to_come_back_to() -> None:
    """One on its own hosts has a route, and paths are paths."""
    client = {"name": "thing", "redirectPaths": ["/back"]}
    with pytest.raises(ValidationError, match="thing has no route of the component to come back to"):
        Needs.model_validate({"oidcClients": [client]})
    with pytest.raises(ValidationError, match="String should match pattern"):
        Needs.model_validate({"oidcClients": [{**client, "redirectPaths": ["//elsewhere.test/{{ x }}"]}]})
