"""Joins a site with what was seen on its hosts for the checks in aiplat.hosts; what they say is theirs."""

from __future__ import annotations

from aiplat.catalog.resolve import packages_brought
from aiplat.hosts.check import HostNeeds, SeenHost
from aiplat.hosts.judge import Trouble, Verdict, judge
from aiplat.hosts.paths import SYSTEM_DATA
from aiplat.plan.models import Facts
from aiplat.site.models import Host, Site

# What a plan refuses in words of its own, with more than a look at the host can know.
_REFUSED_ELSEWHERE = {
    "reachable",
    "root",
    "python",
    "python-version",
    "architecture",
    "default-route",
    "other-site",
}


def judge_hosts(site: Site, facts: Facts) -> tuple[Verdict, ...]:
    """Ask every check of the site's hosts that were looked at."""
    seen = (
        SeenHost(host.name, look, wish_for(site, host))
        for host in site.hosts
        if (look := facts.host(host.name).look) is not None
    )
    return judge(tuple(seen))


def wish_for(site: Site, host: Host) -> HostNeeds:
    """Return what the site wants a host for."""
    networks = (",".join(site.cluster.pod_networks), ",".join(site.cluster.service_networks))
    brought = packages_brought(site, host)
    data = host.data_dir or SYSTEM_DATA
    asks_host = site.cluster.k3s.resolvers is None
    return HostNeeds(
        site.name, host.role, ",".join(host.node_ips), *networks, brought, data, host.accept, asks_host
    )


def troubles(site: Site, facts: Facts) -> tuple[Trouble, ...]:
    """Return what a plan has to say of the hosts: everything but notes, and what it refuses by itself."""
    return tuple(
        trouble
        for verdict in judge_hosts(site, facts)
        for trouble in verdict.troubles
        if trouble.severity != "note" and trouble.check not in _REFUSED_ELSEWHERE
    )
