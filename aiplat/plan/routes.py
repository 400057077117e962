"""What the routes of a site's components come to: names, where each leads, who is asked, what may connect."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from aiplat.catalog.components import Component
from aiplat.catalog.needs import GATEWAY_NAME
from aiplat.catalog.routes import made_routes, provider_of
from aiplat.site.models import Site

# Kubernetes gives addresses of a service network's lower end to nobody by itself; .1 is its API, .10 its DNS.
_INGRESS, _GATEWAY = 12, 13


def routes(site: Site, on: Sequence[Component]) -> list[dict[str, Any]]:
    """Return the routes of the components that are on, in the order of their names."""
    found = [
        {
            "name": route.name,
            "host": f"{route.name}.{site.domain}",
            "component": component.name,
            "namespace": component.namespace or "",
            "service": route.service,
            "port": route.port,
            "groups": list(route.groups),
            "allowed": allowed(site, route.groups),
            "forwarded": route.sign_in == "forwarded",
            "tls": route.tls,
        }
        for component, route in made_routes(on)
    ]
    return sorted(found, key=lambda route: str(route["name"]))


def allowed(site: Site, groups: Sequence[str]) -> list[str]:
    """Return the names that the sign-in has for groups of a site: the company's may be others."""
    company = site.sign_in
    if company is None:
        return list(groups)
    return [name for role, names in company.groups.items() if role in groups for name in names]


def forwarded_hosts(site: Site, on: Sequence[Component]) -> list[str]:
    """Return the hosts whose visitors the site's sign-in is asked about before every request."""
    return [route["host"] for route in routes(site, on) if route["forwarded"]]


def ingress(site: Site, on: Sequence[Component]) -> dict[str, Any]:
    """Return whether the site has an ingress, and the addresses in the cluster that are kept for it.

    `address` leads to the ingress, `gateway` from there to the gateway.
    """
    network = ipaddress.ip_network(site.cluster.service_networks[0])
    return {
        "on": provider_of(on, "routes") is not None,
        "address": str(network[_INGRESS]),
        "gateway": str(network[_GATEWAY]),
    }


def forward_auth(on: Sequence[Component]) -> dict[str, Any] | None:
    """Return the Service that is asked who somebody is, or None where the site has no sign-in."""
    asked = provider_of(on, "forwardAuth")
    if asked is None:
        return None
    provided = asked.provides.needs["forwardAuth"]
    return {
        "service": provided.service or asked.name,
        "namespace": asked.namespace or "",
        "port": provided.port,
    }


def routed(on: Sequence[Component]) -> Iterator[tuple[Component, Component, int]]:
    """Yield the connections that the ingress makes: to what routes lead to, and to who is asked."""
    door, asked = provider_of(on, "routes"), provider_of(on, "forwardAuth")
    if door is None:
        return
    ends = {(component.name, route.port): component for component, route in made_routes(on)}
    for (_, port), component in ends.items():
        yield door, component, port
    if asked is not None and (answers_at := asked.provides.needs["forwardAuth"].port):
        yield door, asked, answers_at


def site_names(site: Site, on: Sequence[Component]) -> list[str]:
    """Return every name of a site that something answers to: its domain, the gateway's, those of routes."""
    return [
        site.domain,
        f"{GATEWAY_NAME}.{site.domain}",
        *(route["host"] for route in routes(site, on)),
    ]
