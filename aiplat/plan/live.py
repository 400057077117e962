"""What a running cluster does not take: other networks, encryption, roles, ways between releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiplat.catalog.artifacts import Lock
from aiplat.content import digest_of
from aiplat.errors import Finding
from aiplat.hosts.paths import SYSTEM_DATA
from aiplat.k3s.release import release_of, step_problem
from aiplat.plan.models import Facts, HostFacts
from aiplat.site.models import Host, Site

_KUBERNETES = {"server": "k3s_server", "agent": "k3s_agent"}
_OTHER = {"server": "agent", "agent": "server"}


def unchangeable(site: Site, lock: Lock, facts: Facts) -> Iterator[Finding]:
    """Yield what the site asks for that its running cluster cannot become."""
    for seen in facts.hosts:
        if seen.reachable:
            yield from _data(site.host(seen.host), seen)
        if seen.reachable and seen.ledger and seen.ledger.site == site.name:
            host = site.host(seen.host)
            yield from _role(host, seen)
            yield from _settings(site, seen)
            yield from _release(host, lock, seen)


def _role(host: Host, seen: HostFacts) -> Iterator[Finding]:
    """Refuse a host that is the other kind of node: the cluster's data would stay with it, or be lost."""
    other = _OTHER[host.role]
    if _inputs(seen, _KUBERNETES[other]) is not None:
        problem = f"it runs as {other}, and site.yaml says {host.role}"
        fix = f"write `role: {other}`, or reset the site first: what the cluster holds is lost with it"
        yield Finding(host.name, problem, fix)


def _data(host: Host, seen: HostFacts) -> Iterator[Finding]:
    """Refuse another data folder than the one in which everything already is: nothing moves it."""
    now = seen.data_dir or (SYSTEM_DATA if seen.ledger else "")
    wanted = host.data_dir or SYSTEM_DATA
    if now and now != wanted:
        back = f"write `dataDir: {now}` for {host.name}" if seen.data_dir else "leave `dataDir` out"
        how = "`aiplat reset`" if host.role == "server" else f"`aiplat node remove {host.name}`"
        problem = f"its data is below {now}, and site.yaml says {wanted}"
        yield Finding(host.name, problem, f"{back}, or reset the host first with {how}: its data is lost")


def _settings(site: Site, seen: HostFacts) -> Iterator[Finding]:
    """Refuse another value of what k3s keeps for the life of a cluster."""
    recorded = _inputs(seen, "k3s_server") or {}
    wanted = {
        "cluster_cidr": ("cluster.podCIDR", ",".join(site.cluster.pod_networks)),
        "service_cidr": ("cluster.serviceCIDR", ",".join(site.cluster.service_networks)),
        "secrets_encryption": ("cluster.k3s.secretsEncryption", site.cluster.k3s.secrets_encryption),
    }
    for name, (where, value) in wanted.items():
        before = recorded.get(f"variable:{name}")
        # A ledger of an older aiplat does not have every one; there was no choice then.
        if before and before != digest_of(value):
            problem = f"is {value} now, and the cluster of {seen.host} began with another"
            fix = "put the former value back, or reset the site first: what the cluster holds is lost with it"
            yield Finding(where, problem, fix)


def _release(host: Host, lock: Lock, seen: HostFacts) -> Iterator[Finding]:
    """Refuse a release of k3s that does not follow the one the host runs."""
    recorded = (_inputs(seen, _KUBERNETES[host.role]) or {}).get("artifact:k3s")
    if not recorded:
        return
    new = release_of(lock.hostfile("k3s", host.arch).version)
    if problem := step_problem(release_of(recorded), new):
        yield Finding(host.name, *problem)


def _inputs(seen: HostFacts, step: str) -> Mapping[str, str] | None:
    recorded = seen.ledger.steps.get(step) if seen.ledger else None
    return recorded.inputs if recorded else None
