"""What the site's sign-in comes to: who issues identities, its clients, and the Secrets that they read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi

from aiplat.catalog.components import Component
from aiplat.catalog.needs import OidcClientNeed
from aiplat.catalog.routes import provider_of
from aiplat.content import sha256_bytes
from aiplat.errors import BadInput, Finding
from aiplat.plan.role_variables import NOT_YET
from aiplat.plan.routes import forwarded_hosts, ingress, routes
from aiplat.site.models import Site
from aiplat.site.references import identity_name
from aiplat.site.sign_in import CompanySignIn, Role
from aiplat.vault.generated import generated_identity

Entries = Mapping[str, Mapping[str, str]]
"""The entries of generated secrets, by the secrets' names."""

ROLES: tuple[Role, ...] = ("admin", "operator", "member")
"""The groups that a site knows, the one that may most first."""
SCOPES = ("openid", "profile", "email", "groups")
ADMINISTRATION_PORT = 8081
"""Where the site's own sign-in lets clients manage people; its component.yaml and chart have the same."""
# Ports of loopback on which a program of the command line may wait for its answer.
_LOOPBACK_PORTS = (8400, 8401, 8402)
_OF_A_CLIENT = (
    "id",
    "name",
    "uri",
    "redirectUris",
    "postLogoutRedirectUris",
    "authMethod",
    "scopes",
    "managesPeople",
)


def sign_in(site: Site, on: Sequence[Component], identities: Mapping[str, str]) -> dict[str, Any]:
    """Return who signs people in, where, and for which clients; empty where the site has no sign-in.

    `host` and `address` are for pods that ask the issuer: its name, and where the ingress is in the cluster;
    the company's own is outside, where DNS says, or behind `proxy`. `people` is where the site's own manages
    people, in the cluster. `groups` are names in the claim by what
    they may do here. `authoritiesIdentity` changes with the certificates that vouch for the issuer.
    """
    known = _company(site.sign_in) if site.sign_in else _own(site, on, identities)
    if not known:
        return {}
    return known | {"clients": [_client(site, on, c, need, identities) for c, need in made_clients(site, on)]}


def _own(site: Site, on: Sequence[Component], identities: Mapping[str, str]) -> dict[str, Any]:
    provider = provider_of(on, "oidcClients")
    if provider is None or not provider.needs.routes:
        return {}
    host = f"{provider.needs.routes[0].name}.{site.domain}"
    return {
        "own": True,
        "issuer": f"https://{host}",
        "host": host,
        "address": ingress(site, on)["address"],
        "people": _administration(provider),
        "proxy": "",
        "authoritiesIdentity": identities.get("ca", NOT_YET),
        "userClaim": "preferred_username",
        "groupsClaim": "groups",
        "groups": {role: [role] for role in ROLES},
        "scopes": list(SCOPES),
    }


def _administration(provider: Component) -> str:
    return f"http://{provider.name}.{provider.namespace}:{ADMINISTRATION_PORT}"


def _company(settings: CompanySignIn) -> dict[str, Any]:
    return {
        "own": False,
        "issuer": settings.issuer,
        "host": urlsplit(settings.issuer).hostname or "",
        "address": "",
        "people": "",
        "proxy": settings.proxy or "",
        "authoritiesIdentity": sha256_bytes(_authorities(settings).encode()),
        "userClaim": settings.user_claim,
        "groupsClaim": settings.groups_claim,
        "groups": {role: list(settings.groups.get(role, ())) for role in ROLES},
        "scopes": list(settings.scopes),
    }


def made_clients(site: Site, on: Sequence[Component]) -> Iterator[tuple[Component, OidcClientNeed]]:
    """Yield the clients that components have, wherever they sign people in: none without a sign-in."""
    if site.sign_in is None:
        yield from own_clients(on)
        return
    for component, client in _clients(on):
        if client.hosts != "loopback" or site.sign_in.cli_client_id:
            yield component, client


def own_clients(on: Sequence[Component]) -> Iterator[tuple[Component, OidcClientNeed]]:
    """Yield the clients at a sign-in that is a component of the site."""
    if provider_of(on, "oidcClients") is not None:
        yield from _clients(on)


def _clients(on: Sequence[Component]) -> Iterator[tuple[Component, OidcClientNeed]]:
    for component in on:
        yield from ((component, client) for client in component.needs.oidc_clients if component.namespace)


def secret_of(component: Component, client: OidcClientNeed) -> str:
    """Return the name of the generated secret with which a client proves who it is."""
    return f"{component.name}/oidc-client/{client.name}"


def clients_file(site: Site, on: Sequence[Component], generated: Entries) -> str:
    """Return every client with its secret, as the JSON that the site's own provider reads. Secret."""
    found = []
    for component, client in own_clients(on):
        about = _client(site, on, component, client, {})
        secret = None if client.public else generated[secret_of(component, client)]["token"]
        found.append({name: about[name] for name in _OF_A_CLIENT} | {"secret": secret})
    return json.dumps(found, sort_keys=True)


def client_objects(
    site: Site, on: Sequence[Component], secrets: Mapping[str, Any]
) -> Iterator[tuple[Component, dict[str, Any]]]:
    """Yield the Secret of each client, for its component's pods; `secrets` is what templates see of them.

    Raises:
        BadInput: the file with the company's CA certificates cannot be read.
    """
    known = sign_in(site, on, {})
    for component, client in made_clients(site, on):
        entries = {
            "client_id": client_id(site, component, client),
            "issuer": known["issuer"],
            "ca.crt": _authorities(site.sign_in) if site.sign_in else secrets.get("trusted", ""),
        }
        if not client.public:
            entries["client_secret"] = _secret(site.sign_in, component, client, secrets)
        yield component, {"name": f"{_own_id(component, client)}-oidc", "stringData": entries}


def client_id(site: Site, component: Component, client: OidcClientNeed) -> str:
    """Return a client's id; the company's sign-in has two for all: of the site, and of its command line."""
    if site.sign_in is None:
        return _own_id(component, client)
    return (site.sign_in.cli_client_id or "") if client.hosts == "loopback" else site.sign_in.client_id


def _own_id(component: Component, client: OidcClientNeed) -> str:
    return component.name if client.name == component.name else f"{component.name}-{client.name}"


def _secret(
    company: CompanySignIn | None, component: Component, client: OidcClientNeed, secrets: Mapping[str, Any]
) -> str:
    if company is None:
        return str(secrets["generated"][secret_of(component, client)]["token"])
    return str(secrets["given"][company.client_secret.from_secret])


def _authorities(company: CompanySignIn) -> str:
    """Return the certificates that vouch for the issuer: the public ones where the company names none.

    They are brought along, because images that hold one program alone have none.
    """
    path = company.ca or Path(certifi.where())
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        problem = f"{path} cannot be read"
        raise BadInput(Finding("signIn.ca", problem, "name a file with certificates in PEM form")) from None


def company_authorities(site: Site) -> str:
    """Return the certificates (PEM) by which alone the company's issuer is judged; empty where it names none.

    Raises:
        BadInput: the file cannot be read.
    """
    company = site.sign_in
    return _authorities(company) if company and company.ca else ""


def askers(on: Sequence[Component]) -> list[Component]:
    """Return the components whose pods ask the site's own issuer by its name: through the ingress."""
    return _asking(own_clients(on))


def askers_outside(site: Site, on: Sequence[Component]) -> list[dict[str, Any]]:
    """Return the pods that ask the company's issuer, which is outside, and the port there."""
    company = site.sign_in
    if company is None:
        return []
    door = urlsplit(company.proxy or company.issuer)
    port = door.port or (443 if door.scheme == "https" else 80)
    asking = _asking(made_clients(site, on))
    return [{"component": c.name, "namespace": c.namespace, "port": port} for c in asking]


def _asking(clients: Iterator[tuple[Component, OidcClientNeed]]) -> list[Component]:
    return list({c.name: c for c, client in clients if client.hosts != "loopback"}.values())


def _client(
    site: Site,
    on: Sequence[Component],
    component: Component,
    client: OidcClientNeed,
    identities: Mapping[str, str],
) -> dict[str, Any]:
    hosts = _hosts(site, on, component, client)
    return {
        "id": client_id(site, component, client),
        "component": component.name,
        "name": _shown(component, client),
        "uri": hosts[0] if hosts else "",
        "redirectUris": [host + path for host in hosts for path in client.redirect_paths],
        "postLogoutRedirectUris": [host + path for host in hosts for path in client.logout_paths],
        "authMethod": "none" if client.public else client.auth_method,
        "scopes": list(site.sign_in.scopes if site.sign_in else SCOPES),
        "managesPeople": client.manages_people,
        "public": client.public,
        "secretIdentity": "" if client.public else _identity(site.sign_in, component, client, identities),
    }


def _shown(component: Component, client: OidcClientNeed) -> str:
    """Return what the page that asks for a name calls what somebody signs in to."""
    if client.hosts == "forwarded":
        return "the site's own pages"
    return component.name if client.name == component.name else f"{component.name}: {client.name}"


def _identity(
    company: CompanySignIn | None, component: Component, client: OidcClientNeed, identities: Mapping[str, str]
) -> str:
    if company is None:
        return identities.get(generated_identity(secret_of(component, client)), NOT_YET)
    return identities.get(identity_name(company.client_secret.from_secret), NOT_YET)


def _hosts(site: Site, on: Sequence[Component], component: Component, client: OidcClientNeed) -> list[str]:
    if client.hosts == "loopback":
        return [f"http://127.0.0.1:{port}" for port in _LOOPBACK_PORTS]
    if client.hosts == "forwarded":
        return [f"https://{host}" for host in forwarded_hosts(site, on)]
    return [f"https://{route['host']}" for route in routes(site, on) if route["component"] == component.name]
