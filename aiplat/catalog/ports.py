"""Which components want the same port of the hosts; what else cannot be delivered is resolve's matter."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from aiplat.errors import Finding
from aiplat.site.models import Site

_HTTPS = 443
_OF_TRAEFIK = (80, _HTTPS)


def ports_taken_twice(site: Site, on: Collection[str]) -> Iterator[Finding]:
    """Yield where two of the components that are on would hold the same port of a host."""
    door = "ingress" if "ingress" in on else "gateway"
    if {"traefik", "ingress"} <= set(on):
        problem = "both it and planes.access.ingress serve names on port 443, each by a Traefik of its own"
        fix = "turn traefik off: the ingress serves Ingress objects too (values: {teamIngresses: true})"
        yield Finding("planes.resource.traefik", problem, fix)
    elif {"traefik", "servicelb", door} <= set(on) and _port(site, door) in _OF_TRAEFIK:
        problem = f"servicelb gives traefik port {_port(site, door)} of every host, and the {door} holds it"
        fix = f"turn servicelb or traefik off, or give the {door} another port (values: {{hostPort: 8443}})"
        yield Finding("planes.resource.servicelb", problem, fix)
    if "ingress" in on and _port(site, "gateway", 0) == _port(site, "ingress"):
        where = "planes.access.gateway.values.hostPort"
        problem = f"the ingress holds port {_port(site, 'ingress')} and passes on what is the gateway's"
        yield Finding(where, problem, "leave it out")


def _port(site: Site, name: str, default: int = _HTTPS) -> int:
    setting = site.planes.get("access", {}).get(name)
    port = setting.values.get("hostPort", default) if setting else default
    return port if isinstance(port, int) else default
