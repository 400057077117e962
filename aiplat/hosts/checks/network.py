"""Checks of a host's networks: addresses, routes, name servers, ports, and the way to other hosts."""

from __future__ import annotations

from aiplat.hosts.check import BLOCKER, NOTE, WARNING, SeenHost, check, networks
from aiplat.hosts.facts import Link
from aiplat.site.addresses import as_ip, canonical

VXLAN_BYTES = 50
OURS = ("cni", "flannel", "veth", "kube-", "lo")
"""Links that a Kubernetes makes, and the one that leads nowhere."""
PORTS = {
    "6443/tcp": "Kubernetes' API",
    "6444/tcp": "k3s",
    "10250/tcp": "the kubelet",
    "10248/tcp": "the kubelet's health",
    "10249/tcp": "kube-proxy",
    "10256/tcp": "kube-proxy's health",
    "10257/tcp": "the controller manager",
    "10259/tcp": "the scheduler",
    "10010/tcp": "containerd",
    "8472/udp": "the pods' network (VXLAN)",
    "5443/tcp": "the site's registry",
    "443/tcp": "the gateway",
}
SERVER_ONLY = ("6443/tcp", "10257/tcp", "10259/tcp", "443/tcp")
PEER_PORTS = (6443, 10250, 5443)
"""Ports of other hosts that a host must get to."""
SEARCH_DOMAINS = 6
_NO_IPV6 = "net.ipv6.conf.all.disable_ipv6"


def _own(host: SeenHost) -> list[Link]:
    return [link for link in host.look.links if not link.name.startswith(OURS)]


def _holder(host: SeenHost) -> Link | None:
    """Return the card that has the address under which the site knows the host."""
    return _card_of(host, host.needs.address)


def _card_of(host: SeenHost, wanted: str) -> Link | None:
    for link in host.look.links:
        if any(_same(address.partition("/")[0], wanted) for address in link.addresses):
            return link
    return None


def _same(one: str, other: str) -> bool:
    """Whether two texts are one address; a name is one with itself alone."""
    return canonical(one) == canonical(other)


@check(
    "default-route", WARNING, "`ip route add default via GATEWAY`; a dummy one does where there is no way out"
)
def default_route(host: SeenHost) -> str | None:
    """There is a default route, which k3s asks for its own address."""
    if not host.look.links:
        return None
    return "" if any(r.to == "default" for r in host.look.routes) else "it has no default route"


@check("one-default-route", WARNING, "give one of them a higher metric, or remove it")
def one_default_route(host: SeenHost) -> str:
    """Of several default routes one is preferred, so that the way out is always the same."""
    v4 = [r for r in host.look.routes if r.to == "default" and ":" not in r.via]
    best = [r.link for r in v4 if r.metric == min(x.metric for x in v4)]
    return f"its default routes by {' and '.join(best)} are equally good" if len(set(best)) > 1 else ""


@check(
    "default-route-elsewhere", NOTE, "leave it: pods' networks are bound to the card of the site's address"
)
def default_route_elsewhere(host: SeenHost) -> str:
    """The card with the site's address is the one of the default route."""
    holder = _holder(host)
    out = {r.link for r in host.look.routes if r.to == "default"}
    lost = holder and out and holder.name not in out
    return (
        f"the site knows it on {holder.name}, its default route is by {', '.join(sorted(out))}"
        if lost and holder
        else ""
    )


@check("address-own", WARNING, "name the address that the other hosts use; `ip address` shows them")
def address_own(host: SeenHost) -> str | None:
    """The address in the site file is one of the host's own, not one that is translated on the way."""
    lost = [a for a in host.needs.addresses if as_ip(a) and not _card_of(host, a)]
    if not any(map(as_ip, host.needs.addresses)):
        return None
    if not host.look.links or not lost:
        return ""
    have = [a.partition("/")[0] for link in _own(host) for a in link.addresses if not a.startswith("fe80")]
    return f"{' and '.join(lost)} is none of its addresses ({', '.join(have) or 'it has none'})"


@check("address-one-card", BLOCKER, "name two addresses of one card: the pods' network goes by one")
def address_one_card(host: SeenHost) -> str:
    """With two address families, one network card has the host's addresses of both."""
    cards = {a: card.name for a in host.needs.addresses if (card := _card_of(host, a))}
    told = " and ".join(f"{address} is on {name}" for address, name in cards.items())
    return told if len(set(cards.values())) > 1 else ""


@check(
    "ipv6-enabled",
    BLOCKER,
    "`sysctl -w net.ipv6.conf.all.disable_ipv6=0`, and take what turns it off out of /etc/sysctl.d and the "
    "kernel's command line (`ipv6.disable=1`)",
)
def ipv6_enabled(host: SeenHost) -> str | None:
    """Where the site's networks are IPv6 too, the kernel has it turned on."""
    said = host.look.sysctls.get(_NO_IPV6)
    if not host.needs.has_ipv6:
        return ""
    return (
        None
        if said is None
        else ""
        if said == "0"
        else f"IPv6 is turned off ({_NO_IPV6} is {said or 'not there'})"
    )


@check(
    "ipv6-router",
    WARNING,
    "set net.ipv6.conf.CARD.accept_ra=2 (`sysctl -w`, and in /etc/sysctl.d), or set the route by hand",
)
def ipv6_router(host: SeenHost) -> str:
    """An IPv6 default route that a router advertises is kept although the host forwards (accept_ra 2)."""
    followed = {link.name for link in host.look.links if link.accept_ra == "1"}
    lost = [r.link for r in host.look.routes if r.to == "default" and r.advertised and r.link in followed]
    told = (
        f"its IPv6 default route by {lost[0]} comes from a router, and accept_ra is 1 there" if lost else ""
    )
    return told if host.needs.has_ipv6 else ""


@check(
    "address-fixed", WARNING, "have the DHCP server always give it the same one, or set it by hand", real=True
)
def address_fixed(host: SeenHost) -> str:
    """The host's address stays: a cluster does not survive that it changes."""
    holder = _holder(host)
    return (
        f"{host.needs.address} on {holder.name} is lent by a DHCP server" if holder and holder.dynamic else ""
    )


@check("link-wireless", NOTE, "use a cable where you can: models and images are gigabytes")
def link_wireless(host: SeenHost) -> str:
    """The host is joined by a cable."""
    holder = _holder(host)
    return f"{host.needs.address} is on the wireless card {holder.name}" if holder and holder.wireless else ""


@check(
    "networks-free",
    BLOCKER,
    "set cluster.podCIDR and cluster.serviceCIDR to networks that you do not use",
    # A host of the site has a way to its pods.
    fresh=True,
)
def networks_free(host: SeenHost) -> str:
    """Neither the pods' nor the services' network is one that the host has or has a route to."""
    theirs = [a for link in _own(host) for a in link.addresses]
    theirs += [r.to for r in host.look.routes if r.to != "default" and not r.link.startswith(OURS)]
    for key, wanted in host.needs.networks:
        for network in networks(theirs):
            if network.version == wanted.version and network.overlaps(wanted):
                return f"{key} {wanted} overlaps {network}, which the host has a way to"
    return ""


@check("mtu-same", WARNING, "set the same MTU on all of them, the smallest of all that lie between")
def mtu_same(host: SeenHost) -> str:
    """The hosts' cards take packets of the same size."""
    mine = _holder(host)
    for other in host.others:
        theirs = _holder(other)
        if mine and theirs and mine.mtu != theirs.mtu:
            return f"{mine.name} has an MTU of {mine.mtu}, {theirs.name} of {other.name} one of {theirs.mtu}"
    return ""


@check("mtu-large", WARNING, "set it to 1330 at least: pods' packets are wrapped in others of 50 bytes more")
def mtu_large(host: SeenHost) -> str:
    """Packets of 1330 bytes go through, so that pods' packets of the least size that IPv6 wants do."""
    mine = _holder(host)
    return f"{mine.name} has an MTU of {mine.mtu}" if mine and mine.mtu < 1280 + VXLAN_BYTES else ""


@check("name-server", WARNING, "write `nameserver ADDRESS` into /etc/resolv.conf", real=True)
def name_server(host: SeenHost) -> str | None:
    """A name server is named."""
    return (
        None
        if not host.look.links
        else ""
        if host.look.nameservers
        else "/etc/resolv.conf names no name server"
    )


def _stub(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


@check(
    "name-server-loop",
    WARNING,
    "name the real ones in /etc/systemd/resolved.conf (`DNS=`) or /etc/resolv.conf",
)
def name_server_loop(host: SeenHost) -> str:
    """Behind a name server on the host itself (127.0.0.53) stands another: pods cannot ask the host's own."""
    own, behind = host.look.nameservers, host.look.nameservers_behind
    if not own or not all(_stub(a) for a in own) or any(not _stub(a) for a in behind):
        return ""
    return f"its only name server is {own[0]}, itself, and nothing says whom that asks"


@check("name-server-cluster", BLOCKER, "name another in /etc/resolv.conf, or set cluster.k3s.resolvers")
def name_server_cluster(host: SeenHost) -> str:
    """No name server of the host is in the cluster's networks: its DNS would ask itself, and ends at that."""
    asked = [*host.look.nameservers, *host.look.nameservers_behind] if host.needs.asks_host else []
    for network in networks(asked):
        for _, own in host.needs.networks:
            if network.version == own.version and network.overlaps(own):
                return f"its name server {network.network_address} is in the cluster's network {own}"
    return ""


@check("name-servers-three", NOTE, "name three at most: programs ask no more")
def name_servers_three(host: SeenHost) -> str:
    """No more than three name servers are named; what is beyond is not asked."""
    count = len(host.look.nameservers)
    return f"{count} name servers are named" if count > 3 else ""


@check(
    "search-domains",
    WARNING,
    "shorten `search` in /etc/resolv.conf: each makes pods ask once more for every name",
)
def search_domains(host: SeenHost) -> str:
    """No more than six domains are searched for a name."""
    count = len(host.look.search)
    return f"{count} domains are searched for every name" if count > SEARCH_DOMAINS else ""


@check("ports-free", BLOCKER, "stop that program, or give it another port (`ss -lntup`)", fresh=True)
def ports_free(host: SeenHost) -> str:
    """The ports that Kubernetes, the registry and the gateway use are free."""
    lost = {
        port: by
        for port, by in host.look.ports.items()
        if port in PORTS and (host.needs.role == "server" or port not in SERVER_ONLY)
    }
    told = [f"{port} ({PORTS[port]}) is taken by {by or 'something'}" for port, by in lost.items()]
    return "; ".join(told)


@check(
    "hosts-reachable", BLOCKER, "see cables, switches and VLANs: hosts of a site talk to each other directly"
)
def hosts_reachable(host: SeenHost) -> str:
    """The host gets to every other host of the site."""
    lost = [name for name, answers in _answers(host).items() if _deaf(answers)]
    return f"it does not get to {', '.join(lost)}" if lost else ""


@check("hosts-ports", BLOCKER, "allow 6443, 10250, 5443/tcp and 8472/udp between the hosts in the firewall")
def hosts_ports(host: SeenHost) -> str:
    """No firewall between the hosts drops what goes to 6443, 10250 or 5443 of the others."""
    told = []
    for name, answers in _answers(host).items():
        closed = [port for port, how in answers.items() if how not in ("open", "closed")]
        if closed and not _deaf(answers):
            told.append(f"{', '.join(closed)} of {name} ({answers[closed[0]]})")
    return f"it does not get to {'; '.join(told)}" if told else ""


def _deaf(answers: dict[str, str]) -> bool:
    return all(how not in ("open", "closed") for how in answers.values())


def _answers(host: SeenHost) -> dict[str, dict[str, str]]:
    """Return by host, or by each of its addresses, how each port answered."""
    names = {
        canonical(address): f"{other.name} ({address})" if len(other.needs.addresses) > 1 else other.name
        for other in host.fellows
        for address in other.needs.addresses
    }
    found: dict[str, dict[str, str]] = {}
    for peer, how in host.look.peers.items():
        address, _, port = peer.rpartition(":")
        found.setdefault(names.get(canonical(address.strip("[]")), address), {})[port] = how
    return found
