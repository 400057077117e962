"""Rules about the cluster's networks, domain and endpoint; single host addresses are in .hosts."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from aiplat.site.addresses import Address, Network, as_ip, as_network, is_dns_name
from aiplat.site.document import Document
from aiplat.site.findings import Path, SiteFinding, shown
from aiplat.site.known import Known
from aiplat.site.models import Cluster

# Every node takes one /24 (IPv6: /64) of the pod network.
_NODE_LENGTH = {4: 24, 6: 64}
# What the controller manager counts between an IPv6 cluster network and a node's (clusterSubnetMaxDiff).
_NODE_BITS = 16
# The API server refuses service networks with more than 20 host bits; DNS takes the tenth address.
_SERVICE_LENGTHS = {4: (12, 28), 6: (108, 124)}
_EXAMPLE = {"podCIDR": "10.42.0.0/16", "serviceCIDR": "10.43.0.0/16"}


def bad_cidr(document: Document, known: Known) -> Iterator[SiteFinding]:
    """PodCIDR and serviceCIDR are networks, written as address/length."""
    for key, value in _written(document):
        if as_network(value) is None:
            problem = f"{shown(value)} is not a network"
            yield document.finding(("cluster", key), problem, f"write it like {_EXAMPLE[key]}")


def cidr_host_bits(document: Document, known: Known) -> Iterator[SiteFinding]:
    """A network is written by its first address."""
    for key, value in _written(document):
        network = as_network(value)
        if network and as_ip(value.partition("/")[0]) != network.network_address:
            problem = f"{shown(value)} has host bits set"
            yield document.finding(("cluster", key), problem, f"write {network}")


def cidr_overlap(document: Document, known: Known) -> Iterator[SiteFinding]:
    """The pod network and the service network do not overlap; a network that is left out has its default."""
    for (first, a), (second, b) in combinations(_networks(document).items(), 2):
        if a.version == b.version and a.overlaps(b):
            at = second if document.at("cluster", second) is not None else first
            other, network = (first, a) if at == second else (second, b)
            problem = f"overlaps {other} ({network})"
            yield document.finding(("cluster", at), problem, "use networks that have no address in common")


def cidr_holds_host(document: Document, known: Known) -> Iterator[SiteFinding]:
    """No host's address (nor the endpoint) lies in the pod network or the service network."""
    for path, ip in _host_ips(document):
        for key, network in _networks(document).items():
            if ip.version == network.version and ip in network:
                problem = f"{ip} lies in {key} ({network})"
                fix = f"choose a {key} that your network does not use"
                yield document.finding(path, problem, fix)


def resolver_in_cluster(document: Document, known: Known) -> Iterator[SiteFinding]:
    """Nobody inside is asked for outside names: the cluster's DNS would ask itself, and ends at it."""
    listed = document.at("cluster", "k3s", "resolvers")
    for number, text in enumerate(listed if isinstance(listed, list) else ()):
        ip = as_ip(text)
        for key, network in _networks(document).items():
            if ip and ip in network:
                at = ("cluster", "k3s", "resolvers", number)
                problem = f"{ip} lies in {key} ({network}), so the cluster's DNS would ask itself"
                yield document.finding(at, problem, "name a server outside the cluster, or `[]` for nobody")


def cidr_too_small(document: Document, known: Known) -> Iterator[SiteFinding]:
    """The pod network has a /24 (IPv6: /64) for each host, and the service network room for services."""
    networks = _networks(document)
    hosts = document.at("hosts")
    if "podCIDR" in networks and isinstance(hosts, list):
        pods = networks["podCIDR"]
        node = _NODE_LENGTH[pods.version]
        room = 2 ** (node - pods.prefixlen) if pods.prefixlen <= node else 0
        if room < len(hosts):
            problem = f"{pods} has room for {room} of {len(hosts)} hosts"
            fix = f"each host takes a /{node}: use a larger one"
            yield document.finding(("cluster", "podCIDR"), problem, fix)
    if "serviceCIDR" in networks:
        services = networks["serviceCIDR"]
        longest, shortest = _SERVICE_LENGTHS[services.version]
        if not longest <= services.prefixlen <= shortest:
            problem = f"/{services.prefixlen} is no length for a service network"
            yield document.finding(("cluster", "serviceCIDR"), problem, f"use /{longest} to /{shortest}")


def cidr_too_large(document: Document, known: Known) -> Iterator[SiteFinding]:
    """An IPv6 pod network is a /48 or smaller: Kubernetes counts at most 2^16 of the nodes' /64 in it."""
    pods = _networks(document).get("podCIDR")
    if pods and pods.version == 6 and _NODE_LENGTH[6] - pods.prefixlen > _NODE_BITS:
        largest = _NODE_LENGTH[6] - _NODE_BITS
        problem = f"/{pods.prefixlen} is too large: each host takes a /{_NODE_LENGTH[6]} of it"
        fix = f"use a /{largest} or smaller, such as {pods.network_address}/{largest}"
        yield document.finding(("cluster", "podCIDR"), problem, fix)


def mixed_address_families(document: Document, known: Known) -> Iterator[SiteFinding]:
    """Hosts, pod network and service network are all IPv4 or all IPv6."""
    networks = _networks(document)
    versions = {n.version for n in networks.values()}
    if len(versions) > 1:
        at = next((k for k in ("serviceCIDR", "podCIDR") if document.at("cluster", k)), "podCIDR")
        problem = "podCIDR and serviceCIDR are not of the same address family"
        yield document.finding(("cluster", at), problem, "use IPv4 for both or IPv6 for both")
    elif versions:
        version = versions.pop()
        for path, ip in _node_ips(document):
            if ip.version != version:
                problem = f"{ip} is IPv{ip.version}, and the cluster's networks are IPv{version}"
                yield document.finding(path, problem, "use one address family for the whole site")


def bad_domain(document: Document, known: Known) -> Iterator[SiteFinding]:
    """The domain is a DNS name."""
    domain = document.at("cluster", "domain")
    if isinstance(domain, str) and not is_dns_name(domain):
        problem = f"{shown(domain)} is not a DNS name"
        yield document.finding(("cluster", "domain"), problem, "write it like ward-3.internal")


def reserved_domain(document: Document, known: Known) -> Iterator[SiteFinding]:
    """The domain is not Kubernetes' own (cluster.local), nor one that never leaves the machine."""
    domain = document.at("cluster", "domain")
    for reserved in ("cluster.local", "localhost", "local"):
        name = domain.removesuffix(".").casefold() if isinstance(domain, str) else ""
        if name == reserved or (reserved != "local" and name.endswith(f".{reserved}")):
            problem = f"{shown(domain)} is reserved"
            yield document.finding(("cluster", "domain"), problem, "use one of your own, or NAME.internal")


def bad_endpoint(document: Document, known: Known) -> Iterator[SiteFinding]:
    """The endpoint is an IP address or a DNS name, without scheme, port or path."""
    endpoint = document.at("cluster", "endpoint")
    if isinstance(endpoint, str) and as_ip(endpoint) is None and not is_dns_name(endpoint):
        problem = f"{shown(endpoint)} is neither an IP address nor a DNS name"
        yield document.finding(("cluster", "endpoint"), problem, "leave out scheme, port and path")


def _written(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the networks that stand in the file."""
    for key in _EXAMPLE:
        value = document.at("cluster", key)
        if isinstance(value, str):
            yield key, value


def _networks(document: Document) -> dict[str, Network]:
    """Return the networks that the site gets, defaults included and those that are none left out."""
    default = Cluster()
    values = {"podCIDR": default.pod_cidr, "serviceCIDR": default.service_cidr} | dict(_written(document))
    networks = {key: as_network(value) for key, value in values.items()}
    return {key: network for key, network in networks.items() if network is not None}


def _host_ips(document: Document) -> Iterator[tuple[Path, Address]]:
    """Yield every IP address in the file that must lie outside the cluster's networks."""
    endpoint = as_ip(document.at("cluster", "endpoint"))
    if endpoint:
        yield ("cluster", "endpoint"), endpoint
    for path, host in document.maps("hosts"):
        for key in ("address", "nodeAddress"):
            ip = as_ip(host.get(key))
            if ip:
                yield (*path, key), ip


def _node_ips(document: Document) -> Iterator[tuple[Path, Address]]:
    """Yield the addresses that must be of the cluster's family; one that only you use may be of another."""
    for path, ip in _host_ips(document):
        if path[-1] != "address" or document.at(*path[:-1], "nodeAddress") is None:
            yield path, ip
