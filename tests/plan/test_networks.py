"""Where hosts' addresses end up: the one among nodes, not the one to log in by; IPv6 in brackets in URLs.

This looks at what is rendered; pods with IPv6 addresses are not run by any test.
"""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import resolve
from aiplat.plan.releases import releases_of
from aiplat.plan.role_variables import K3sAgent, K3sServer, SiteRegistry
from aiplat.plan.variables import role_variables
from aiplat.site.models import Site
from aiplat.vault.store import certificate_names
from tests.plan.worlds import PUBLIC


def _site(server: dict[str, Any], agent: dict[str, Any], cluster: dict[str, Any] | None = None) -> Site:
    hosts = [{"name": "s1", "role": "server", **server}, {"name": "a1", "role": "agent", **agent}]
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3"}
    return Site.model_validate({**head, "hosts": hosts, "cluster": cluster or {}})


TWO_NETWORKS = _site(
    {"address": "s1.example.org", "nodeAddress": "10.1.0.11", "interface": "eth1"},
    {"address": "192.0.2.12", "nodeAddress": "10.1.0.12"},
)
IPV6 = _site(
    {"address": "fd00::11"}, {"address": "fd00::12"}, {"podCIDR": "fd42::/56", "serviceCIDR": "fd43::/112"}
)


DUAL = _site(
    {"address": "10.1.0.11", "nodeAddress": "10.1.0.11, fd00::11"},
    {"address": "10.1.0.12", "nodeAddress": "10.1.0.12, fd00::12"},
    {"podCIDR": "10.42.0.0/16, fd42::/56", "serviceCIDR": "10.43.0.0/16, fd43::/112"},
)
PUBLIC_IPV6 = _site(
    {"address": "2001:db8::11"},
    {"address": "2001:db8::12"},
    {"podCIDR": "2001:db8:42::/56", "serviceCIDR": "2001:db8:43::/112"},
)


@pytest.mark.parametrize(
    ("site", "server", "agent", "in_url"),
    [
        (TWO_NETWORKS, "10.1.0.11", "10.1.0.12", "10.1.0.11"),
        (IPV6, "fd00::11", "fd00::12", "[fd00::11]"),
        (DUAL, "10.1.0.11,fd00::11", "10.1.0.12,fd00::12", "10.1.0.11"),
    ],
)
def test_nodes_know_each_other_by_their_node_addresses(
    site: Site, server: str, agent: str, in_url: str
) -> None:
    """Node addresses, the server to join and the registries to pull from are of the nodes' own network."""
    roles = role_variables(site, resolve(site), load_catalog(), PUBLIC)
    joined = next(r for r in roles["a1"] if isinstance(r, K3sAgent))
    serving = next(r for r in roles["s1"] if isinstance(r, K3sServer))
    registry = next(r for r in roles["s1"] if isinstance(r, SiteRegistry))
    assert (serving.node_ip, joined.node_ip) == (server, agent)
    assert joined.server_url == f"https://{in_url}:6443"
    assert joined.registry_endpoints == serving.registry_endpoints == (f"https://{in_url}:5443",)
    assert registry.address == in_url


@pytest.mark.parametrize("site", [TWO_NETWORKS, IPV6, DUAL])
def test_certificates_speak_for_both_addresses(site: Site) -> None:
    """Whoever comes from outside and whoever comes from another node finds the name it asked for."""
    server = site.servers[0]
    roles = role_variables(site, resolve(site), load_catalog(), PUBLIC)
    serving = next(r for r in roles["s1"] if isinstance(r, K3sServer))
    assert {server.address, *server.node_ips} <= set(serving.tls_san)
    assert {server.address, *server.node_ips} <= set(certificate_names(site))


@pytest.mark.parametrize(
    ("site", "masquerade"), [(TWO_NETWORKS, False), (IPV6, True), (DUAL, True), (PUBLIC_IPV6, False)]
)
def test_pods_of_a_private_ipv6_network_leave_with_their_hosts_address(site: Site, masquerade: bool) -> None:
    """Nobody outside has a way back to such addresses; public ones are left as they are."""
    roles = role_variables(site, resolve(site), load_catalog(), PUBLIC)
    serving = next(r for r in roles["s1"] if isinstance(r, K3sServer))
    assert serving.ipv6_masquerade is masquerade


@pytest.mark.parametrize(
    ("site", "networks"),
    [
        (TWO_NETWORKS, ["10.1.0.11/32"]),
        (IPV6, ["fd00::11/128"]),
        (DUAL, ["10.1.0.11/32", "fd00::11/128"]),
    ],
)
def test_policies_name_the_server_by_its_node_addresses(site: Site, networks: list[str]) -> None:
    """What may ask the API server is let to the addresses that the node has in the cluster."""
    releases = releases_of(site, resolve(site), load_catalog(), PUBLIC.identities)
    gateway = next(r for r in releases if r.name == "gateway")
    assert "".join(["apiServers:\n", *(f"- {network}\n" for network in networks)]) in gateway.values
