"""What the site's sign-in comes to: who issues identities, its clients, and the Secrets that they read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiplat.catalog.components import Component
from aiplat.catalog.needs import OidcClientNeed
from aiplat.catalog.routes import provider_of
from aiplat.plan.role_variables import NOT_YET
from aiplat.plan.routes import forwarded_hosts, ingress, routes
from aiplat.site.models import Site
from aiplat.vault.generated import generated_identity

Entries = Mapping[str, Mapping[str, str]]
"""The entries of generated secrets, by the secrets' names."""

ROLES = ("admin", "operator", "member")
"""The groups that a site knows, the one that may most first."""
SCOPES = ("openid", "profile", "email", "groups")
# Ports of loopback on which a program of the command line may wait for its answer.
_LOOPBACK_PORTS = (8400, 8401, 8402)


def sign_in(site: Site, on: Sequence[Component], identities: Mapping[str, str]) -> dict[str, Any]:
    """Return who signs people in, where, and for which clients; empty where the site has no sign-in.

    `host` and `address` are for pods that ask the issuer: its name, and where the ingress is in the cluster.
    """
    provider = provider_of(on, "oidcClients")
    if provider is None or not provider.needs.routes:
        return {}
    host = f"{provider.needs.routes[0].name}.{site.domain}"
    return {
        "own": True,
        "issuer": f"https://{host}",
        "host": host,
        "address": ingress(site, on)["address"],
        "userClaim": "preferred_username",
        "groupsClaim": "groups",
        "groups": {role: [role] for role in ROLES},
        "scopes": list(SCOPES),
        "clients": [_client(site, on, c, need, identities) for c, need in made_clients(on)],
    }


def made_clients(on: Sequence[Component]) -> Iterator[tuple[Component, OidcClientNeed]]:
    """Yield the clients that components have: none without a sign-in."""
    if provider_of(on, "oidcClients") is not None:
        for component in on:
            yield from ((component, client) for client in component.needs.oidc_clients if component.namespace)


def secret_of(component: Component, client: OidcClientNeed) -> str:
    """Return the name of the generated secret with which a client proves who it is."""
    return f"{component.name}/oidc-client/{client.name}"


def clients_file(site: Site, on: Sequence[Component], generated: Entries) -> str:
    """Return every client with its secret, as the JSON that the provider reads. Secret."""
    found = []
    for component, client in made_clients(on):
        about = _client(site, on, component, client, {})
        secret = None if client.public else generated[secret_of(component, client)]["token"]
        found.append({name: about[name] for name in _OF_A_CLIENT} | {"secret": secret})
    return json.dumps(found, sort_keys=True)


def client_objects(
    site: Site, on: Sequence[Component], generated: Entries, trusted: str
) -> Iterator[tuple[Component, dict[str, Any]]]:
    """Yield the Secret of each client, for its component's pods; `trusted` are CA certificates (PEM)."""
    known = sign_in(site, on, {})
    for component, client in made_clients(on):
        entries = {"client_id": client_id(component, client), "issuer": known["issuer"], "ca.crt": trusted}
        if not client.public:
            entries["client_secret"] = generated[secret_of(component, client)]["token"]
        yield component, {"name": f"{client_id(component, client)}-oidc", "stringData": entries}


def client_id(component: Component, client: OidcClientNeed) -> str:
    """Return a client's id: the component's name where the client has the same."""
    return component.name if client.name == component.name else f"{component.name}-{client.name}"


def askers(on: Sequence[Component]) -> list[Component]:
    """Return the components whose pods ask the issuer by its name, which is through the ingress."""
    return list({c.name: c for c, client in made_clients(on) if client.hosts != "loopback"}.values())


_OF_A_CLIENT = ("id", "name", "uri", "redirectUris", "postLogoutRedirectUris", "authMethod", "scopes")


def _client(
    site: Site,
    on: Sequence[Component],
    component: Component,
    client: OidcClientNeed,
    identities: Mapping[str, str],
) -> dict[str, Any]:
    hosts = _hosts(site, on, component, client)
    return {
        "id": client_id(component, client),
        "component": component.name,
        "name": f"{component.name}: {client.name}",
        "uri": hosts[0] if hosts else "",
        "redirectUris": [host + path for host in hosts for path in client.redirect_paths],
        "postLogoutRedirectUris": [host + path for host in hosts for path in client.logout_paths],
        "authMethod": "none" if client.public else client.auth_method,
        "scopes": list(SCOPES),
        "public": client.public,
        "secretIdentity": ""
        if client.public
        else identities.get(generated_identity(secret_of(component, client)), NOT_YET),
    }


def _hosts(site: Site, on: Sequence[Component], component: Component, client: OidcClientNeed) -> list[str]:
    if client.hosts == "loopback":
        return [f"http://127.0.0.1:{port}" for port in _LOOPBACK_PORTS]
    if client.hosts == "forwarded":
        return [f"https://{host}" for host in forwarded_hosts(site, on)]
    return [f"https://{route['host']}" for route in routes(site, on) if route["component"] == component.name]
