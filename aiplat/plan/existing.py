"""What a cluster that aiplat did not make changes in releases: where images are, where its API may be."""

from __future__ import annotations

from typing import TypedDict

from aiplat.catalog.artifacts import Artifact
from aiplat.site.models import Site

_API_PORT = 6443
# Where the APIs of clusters that others make listen; whose addresses they have, nobody here knows for good.
_API_PORTS = [443, _API_PORT]
_ANYWHERE = ["0.0.0.0/0", "::/0"]


class ApiServers(TypedDict):
    """Where network policies let pods find the Kubernetes API: networks (CIDR) and TCP ports."""

    networks: list[str]
    ports: list[int]


def api_servers(site: Site) -> ApiServers:
    """Return where the Kubernetes API of a site's cluster is, as far as that is known."""
    if site.is_guest:
        return {"networks": _ANYWHERE, "ports": _API_PORTS}
    addresses = [address for host in site.servers for address in host.node_ips]
    return {
        "networks": [f"{address}/{128 if ':' in address else 32}" for address in addresses],
        "ports": [_API_PORT],
    }


def ref_in(site: Site, artifact: Artifact) -> str:
    """Return what pods call an image or a model: its upstream name, or its name in the site's registry.

    It is below the registry's prefix as `aiplat bundle push` puts it there, by digest where that is known.
    """
    if not site.cluster.registry:
        return artifact.ref
    tag = artifact.version.replace("+", "_")
    tail = f"@{artifact.digest}" if artifact.digest else ""
    return f"{site.cluster.registry}/{artifact.name}:{tag}{tail}"
