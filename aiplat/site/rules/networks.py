"""Rules about the cluster's networks, domain and endpoint; families (IPv4, IPv6) are in .families."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from aiplat.site.addresses import Address, Network, as_ip, as_network, is_dns_name, listed
from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, shown
from aiplat.site.known import Known
from aiplat.site.models import ClusterSettings

# Every node takes one /24 (IPv6: /64) of the pod network.
_NODE_LENGTH = {4: 24, 6: 64}
# What the controller manager counts between an IPv6 cluster network and a node's (clusterSubnetMaxDiff).
_NODE_BITS = 16
# The API server refuses service networks with more than 20 host bits; DNS takes the tenth address.
_SERVICE_LENGTHS = {4: (12, 28), 6: (108, 124)}
_EXAMPLE = {"podCIDR": "10.42.0.0/16", "serviceCIDR": "10.43.0.0/16"}


def bad_cidr(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """PodCIDR and serviceCIDR are networks, written as address/length."""
    for key, value in _written(document):
        if as_network(value) is None:
            problem = f"{shown(value)} is not a network"
            yield document.finding(("cluster", key), problem, f"write it like {_EXAMPLE[key]}")


def cidr_host_bits(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A network is written by its first address."""
    for key, value in _written(document):
        network = as_network(value)
        if network and as_ip(value.partition("/")[0]) != network.network_address:
            problem = f"{shown(value)} has host bits set"
            yield document.finding(("cluster", key), problem, f"write {network}")


def cidr_overlap(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """The pod network and the service network do not overlap; a network that is left out has its default."""
    for (first, a), (second, b) in combinations(_each(document), 2):
        if first != second and a.version == b.version and a.overlaps(b):
            at = second if document.at("cluster", second) is not None else first
            other, network = (first, a) if at == second else (second, b)
            problem = f"overlaps {other} ({network})"
            yield document.finding(("cluster", at), problem, "use networks that have no address in common")


def cidr_holds_host(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """No host's address (nor the endpoint) lies in the pod network or the service network."""
    for path, ip in host_ips(document):
        for key, network in _each(document):
            if ip in network:
                problem = f"{ip} lies in {key} ({network})"
                fix = f"choose a {key} that your network does not use"
                yield document.finding(path, problem, fix)


def resolver_in_cluster(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Nobody inside is asked for outside names: the cluster's DNS would ask itself, and ends at it."""
    resolvers = document.at("cluster", "k3s", "resolvers")
    for number, text in enumerate(resolvers if isinstance(resolvers, list) else ()):
        ip = as_ip(text)
        for key, network in _each(document):
            if ip and ip in network:
                at = ("cluster", "k3s", "resolvers", number)
                problem = f"{ip} lies in {key} ({network}), so the cluster's DNS would ask itself"
                yield document.finding(at, problem, "name a server outside the cluster, or `[]` for nobody")


def cidr_too_small(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """The pod network has a /24 (IPv6: /64) for each host, and the service network room for services."""
    hosts = document.at("hosts")
    for pods in cluster_networks(document).get("podCIDR", ()) if isinstance(hosts, list) else ():
        node = _NODE_LENGTH[pods.version]
        room = 2 ** (node - pods.prefixlen) if pods.prefixlen <= node else 0
        if room < len(hosts):
            problem = f"{pods} has room for {room} of {len(hosts)} hosts"
            fix = f"each host takes a /{node}: use a larger one"
            yield document.finding(("cluster", "podCIDR"), problem, fix)
    for services in cluster_networks(document).get("serviceCIDR", ()):
        longest, shortest = _SERVICE_LENGTHS[services.version]
        if not longest <= services.prefixlen <= shortest:
            problem = f"/{services.prefixlen} is not a length for a service network"
            yield document.finding(("cluster", "serviceCIDR"), problem, f"use /{longest} to /{shortest}")


def cidr_too_large(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """An IPv6 pod network is a /48 or smaller: Kubernetes counts at most 2^16 of the nodes' /64 in it."""
    for pods in cluster_networks(document).get("podCIDR", ()):
        if pods.version == 6 and _NODE_LENGTH[6] - pods.prefixlen > _NODE_BITS:
            largest = _NODE_LENGTH[6] - _NODE_BITS
            problem = f"/{pods.prefixlen} is too large: each host takes a /{_NODE_LENGTH[6]} of it"
            fix = f"use a /{largest} or smaller, such as {pods.network_address}/{largest}"
            yield document.finding(("cluster", "podCIDR"), problem, fix)


def bad_domain(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """The domain is a DNS name."""
    domain = document.at("cluster", "domain")
    if isinstance(domain, str) and not is_dns_name(domain):
        problem = f"{shown(domain)} is not a DNS name"
        yield document.finding(("cluster", "domain"), problem, "write it like ward-3.internal")


def reserved_domain(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """The domain is not Kubernetes' own (cluster.local), nor one that never leaves the machine."""
    domain = document.at("cluster", "domain")
    for reserved in ("cluster.local", "localhost", "local"):
        name = domain.removesuffix(".").casefold() if isinstance(domain, str) else ""
        if name == reserved or (reserved != "local" and name.endswith(f".{reserved}")):
            problem = f"{shown(domain)} is reserved"
            yield document.finding(("cluster", "domain"), problem, "use one of your own, or NAME.internal")


def bad_endpoint(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """The endpoint is an IP address or a DNS name, without scheme, port or path."""
    endpoint = document.at("cluster", "endpoint")
    if isinstance(endpoint, str) and as_ip(endpoint) is None and not is_dns_name(endpoint):
        problem = f"{shown(endpoint)} is neither an IP address nor a DNS name"
        yield document.finding(("cluster", "endpoint"), problem, "leave out scheme, port and path")


def _written(document: YamlDocument) -> Iterator[tuple[str, str]]:
    """Yield the networks that stand in the file, each by itself."""
    for key in _EXAMPLE:
        value = document.at("cluster", key)
        if isinstance(value, str):
            yield from ((key, item) for item in listed(value))


def cluster_networks(document: YamlDocument) -> dict[str, tuple[Network, ...]]:
    """Return the networks that the site gets, defaults included and keys left out with one that is none."""
    default = ClusterSettings()
    texts = {"podCIDR": default.pod_networks, "serviceCIDR": default.service_networks}
    texts |= {key: tuple(i for name, i in _written(document) if name == key) for key, _ in _written(document)}
    found = {key: tuple(as_network(item) for item in items) for key, items in texts.items()}
    return {key: tuple(n for n in items if n) for key, items in found.items() if all(items)}


def _each(document: YamlDocument) -> Iterator[tuple[str, Network]]:
    for key, networks in cluster_networks(document).items():
        yield from ((key, network) for network in networks)


def host_ips(document: YamlDocument) -> Iterator[tuple[Path, Address]]:
    """Yield every IP address in the file that must lie outside the cluster's networks."""
    endpoint = as_ip(document.at("cluster", "endpoint"))
    if endpoint:
        yield ("cluster", "endpoint"), endpoint
    for path, host in document.maps("hosts"):
        for key in ("address", "nodeAddress"):
            yield from (((*path, key), ip) for ip in ips_of(host.get(key)))


def ips_of(value: object) -> tuple[Address, ...]:
    """Return the IP addresses of a value that may be one, several with commas, or something else."""
    found = (as_ip(item) for item in listed(value)) if isinstance(value, str) else ()
    return tuple(ip for ip in found if ip)
