"""What clients of the site's sign-in come to: where people come back to, secrets, and what may connect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import certifi
import pytest
from pydantic import ValidationError

from aiplat.catalog.components import Component
from aiplat.catalog.needs import Needs
from aiplat.catalog.routes import two_sign_ins
from aiplat.errors import BadInput
from aiplat.plan.needs import connections, generated_names
from aiplat.plan.routes import routes
from aiplat.plan.sign_in import askers_outside, client_objects, clients_file, sign_in
from aiplat.site.models import Site
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
SECRETS = {"generated": GENERATED, "trusted": "CA", "given": {"entra": "SECRET"}}
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
    assert list(client_objects(site(), on, {})) == []


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
    made = {entry["name"]: entry["stringData"] for _, entry in client_objects(site(), ON, SECRETS)}
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


COMPANY = {
    "issuer": "https://id.example.com/realms/x",
    "clientId": "ward-3",
    "clientSecret": {"fromSecret": "entra"},
    "groups": {"admin": ["AI admins"], "member": ["Staff", "Guests"]},
}


def with_company(**more: Any) -> Site:
    """A site whose people have accounts elsewhere."""
    return Site.model_validate(
        {**site().model_dump(by_alias=True, exclude={"sign_in"}), "signIn": {**COMPANY, **more}}
    )


def test_at_the_companys_sign_in_the_site_is_one_client() -> None:
    """All components come back with its id and its one secret; nothing is generated for them."""
    on = (DOOR, LOGIN, PORTAL, PAGES, PROXY, CLI)
    known = sign_in(with_company(), on, {"secret entra": "sha256:2"})
    assert (known["own"], known["host"], known["address"]) == (False, "id.example.com", "")
    assert {(c["id"], c["secretIdentity"]) for c in known["clients"]} == {("ward-3", "sha256:2")}
    made = {e["name"]: e["stringData"] for _, e in client_objects(with_company(), on, SECRETS)}
    assert made["portal-oidc"] == {
        "client_id": "ward-3",
        "client_secret": "SECRET",
        "issuer": COMPANY["issuer"],
        "ca.crt": Path(certifi.where()).read_text(),
    }
    assert not [name for name in generated_names(on) if "oidc" in name]


def test_the_command_line_has_a_client_where_the_company_has_one_for_it() -> None:
    """A program on people's machines cannot share the site's secret."""
    on = (DOOR, CLI)
    assert sign_in(with_company(), on, {})["clients"] == []
    assert [c["id"] for c in sign_in(with_company(cliClientId="tools"), on, {})["clients"]] == ["tools"]


def test_the_companys_groups_stand_for_the_sites() -> None:
    """Who may enter a page is asked in the provider's words."""
    made = routes(with_company(), (DOOR, LOGIN, PAGES))[0]
    assert (made["groups"], made["allowed"]) == (["admin", "member"], ["AI admins", "Staff", "Guests"])


@pytest.mark.parametrize(
    ("more", "port"),
    [({}, 443), ({"issuer": "https://id.example.com:8443/x"}, 8443), ({"proxy": "http://proxy:3128"}, 3128)],
)
def test_pods_that_ask_the_companys_issuer_may_leave(more: dict[str, Any], port: int) -> None:
    """To its port or the proxy's; programs of the command line ask from elsewhere."""
    on = (DOOR, LOGIN, PORTAL, PAGES, PROXY, CLI)
    site_there = with_company(cliClientId="tools", **more)
    found = askers_outside(site_there, on)
    assert {(a["component"], a["port"]) for a in found} == {("portal", port), ("proxy", port)}
    assert not [c for c in connections(on) if c["from"]["component"] == "portal"]
    assert askers_outside(site(), ON) == []


def test_another_ca_of_the_companys_is_noticed(tmp_path: Path) -> None:
    """Pods read it at their start."""
    ca, seen = tmp_path / "ca.pem", set()
    for text in ("one", "two"):
        ca.write_text(text)
        seen.add(sign_in(with_company(ca=str(ca)), (DOOR, PORTAL), {})["authoritiesIdentity"])
    assert len(seen) == 2


def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """It may have gone since the site was checked."""
    lost = with_company(ca=str(tmp_path / "gone.pem"))
    with pytest.raises(BadInput, match=r"signIn\.ca: .*gone\.pem cannot be read"):
        list(client_objects(lost, (DOOR, PORTAL), SECRETS))


def test_two_sign_ins_are_one_too_many() -> None:
    """A person would have two accounts, and nobody could say which one counts."""
    found = [str(finding) for finding in two_sign_ins(with_company(), ON)]
    assert found == [
        "planes.data.issuer: the site has two sign-ins: issuer and https://id.example.com/realms/x; "
        "turn issuer off, or take `signIn` out"
    ]
    assert list(two_sign_ins(site(), ON)) == []
