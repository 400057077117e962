"""Rules about address families: networks and hosts are IPv4, IPv6, or both (dual stack) in one order."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

from collections.abc import Iterator

from aiplat.site.addresses import Network, listed
from aiplat.site.document import YamlDocument
from aiplat.site.findings import SiteFinding
from aiplat.site.known import Known
from aiplat.site.rules.networks import cluster_networks, host_ips, ips_of

Families = tuple[int, ...]


def cidr_of_each_family(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """PodCIDR and serviceCIDR are one network, or two with a comma: one IPv4 and one IPv6."""
    for key, networks in cluster_networks(document).items():
        if not _is_proper(_of(networks)):
            problem = f"{', '.join(map(str, networks))} are not one IPv4 and one IPv6 network"
            yield document.finding(("cluster", key), problem, "name one of each family, or one alone")


def mixed_address_families(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Pod network, service network and hosts are all IPv4, all IPv6 or all both, in one order."""
    networks = cluster_networks(document)
    if len(networks) < 2 or not all(_is_proper(_of(found)) for found in networks.values()):
        return
    pods, services = _of(networks["podCIDR"]), _of(networks["serviceCIDR"])
    if pods == services:
        yield from _endpoint(document, pods)
        yield from _hosts(document, pods)
        return
    at = next((k for k in ("serviceCIDR", "podCIDR") if document.at("cluster", k)), "podCIDR")
    if set(pods) == set(services):
        problem = "podCIDR and serviceCIDR are not in the same order"
        other = networks["podCIDR"] if at == "serviceCIDR" else networks["serviceCIDR"]
        fix = f"write {_ordered(listed(str(document.at('cluster', at))), networks[at], _of(other))}"
    else:
        problem = "podCIDR and serviceCIDR are not of the same address family"
        fix = "use IPv4 for both, IPv6 for both, or both families for both"
    yield document.finding(("cluster", at), problem, fix)


def _endpoint(document: YamlDocument, families: Families) -> Iterator[SiteFinding]:
    for path, ip in host_ips(document):
        if path == ("cluster", "endpoint") and ip.version not in families:
            yield document.finding(path, f"{ip} is {_alone((ip.version,), families)}", _ONE_FAMILY)


_ONE_FAMILY = "use one address family for the whole site, or both for all of it"


def _hosts(document: YamlDocument, families: Families) -> Iterator[SiteFinding]:
    for path, host in document.maps("hosts"):
        key = "nodeAddress" if host.get("nodeAddress") is not None else "address"
        text = host.get(key)
        ips = ips_of(text)
        have = tuple(ip.version for ip in ips)
        if not isinstance(text, str) or have == families or not _is_told_here(ips, text, families):
            continue
        yield document.finding((*path, key), *_of_host(text, have, families, key))


def _is_told_here(ips: tuple[object, ...], text: str, families: Families) -> bool:
    """Whether nobody else says what is wrong: a name may be a host's address, but has only one family."""
    return len(ips) == len(listed(text)) if ips else len(families) > 1


def _of_host(text: str, have: Families, families: Families, key: str) -> tuple[str, str]:
    if key == "address" and len(families) > 1:
        fix = "add its nodeAddress with one of each, like 10.0.0.11,fd00::11"
        return f"{text} is one address, and the cluster's networks are {_said(families)}", fix
    if set(have) == set(families) and len(have) == len(families):
        order = dict(zip(have, listed(text), strict=True))
        fix = f"write {','.join(order[family] for family in families)}"
        return f"{text} is not in the order of the cluster's networks", fix
    fix = "name one of each, like 10.0.0.11,fd00::11" if len(families) > 1 else _ONE_FAMILY
    return f"{text} is {_alone(have, families)}", fix


def _ordered(items: tuple[str, ...], networks: tuple[Network, ...], order: Families) -> str:
    by_family = dict(zip(_of(networks), items, strict=True))
    return ",".join(by_family[family] for family in order)


def _alone(have: Families, families: Families) -> str:
    return f"{_said(have)}, and the cluster's networks are {_said(families)}"


def _of(networks: tuple[Network, ...]) -> Families:
    return tuple(network.version for network in networks)


def _is_proper(families: Families) -> bool:
    return len(set(families)) == len(families)


def _said(families: Families) -> str:
    return " and ".join(f"IPv{family}" for family in dict.fromkeys(families))
