"""What forbids carrying a plan out, all of it at once; the plan itself is in aiplat.plan.make."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from aiplat.catalog.artifacts import Lock
from aiplat.errors import Finding
from aiplat.hosts.paths import paths_of
from aiplat.plan.accepted import not_accepted
from aiplat.plan.gpus import gpu_refusals
from aiplat.plan.live import unchangeable
from aiplat.plan.models import Facts, HostFacts
from aiplat.plan.staging import missing_blobs, wanted_blobs
from aiplat.plan.variables import X86_64_LEVEL, x86_64_level
from aiplat.site.addresses import Address, as_ip
from aiplat.site.models import Host, Site
from aiplat.site.references import references_of
from aiplat.site.systems import MACHINES, SYSTEMS, arch_of, system_name

# The blob itself, and what containerd unpacks of it later.
_UNPACKED_FACTOR = 3
_SPARE_MIB = 1024


def refusals(site: Site, lock: Lock, facts: Facts, given: Collection[str] = ()) -> tuple[Finding, ...]:
    """Return every reason not to touch the hosts; empty when the plan may be carried out.

    `given` are the names of the secrets that the site's vault keeps for it.
    """
    return (
        *_of_site(site, lock, facts),
        *missing_secrets(site, given),
        *unchangeable(site, lock, facts),
        *not_accepted(site, lock, facts),
        *(f for host in facts.hosts for f in _of_host(site, lock, host)),
        *gpu_refusals(site, lock, facts),
    )


def _of_site(site: Site, lock: Lock, facts: Facts) -> Iterator[Finding]:
    if len(site.servers) > 1:
        names = ", ".join(host.name for host in site.servers)
        yield Finding(
            "hosts", f"{names} are servers; more than one is not in this version", "keep one server"
        )
    real = [host.host for host in facts.hosts if host.reachable and host.lab is None]
    if any(a.lab_only for a in lock.artifacts) and real:
        problem = (
            f"{', '.join(real)}: the supply `packages` installs a stand-in for k3s, which only lab hosts get"
        )
        yield Finding("supply", problem, "write `supply: upstream` in site.yaml")


def missing_secrets(site: Site, given: Collection[str]) -> Iterator[Finding]:
    """Yield the secrets that a site refers to and that are not among those `given`, by name."""
    for path, name in references_of(site):
        if name not in given:
            yield Finding(path, f"there is no secret {name}", f"give it one: aiplat secret set {name}")


def _of_host(site: Site, lock: Lock, host: HostFacts) -> Iterator[Finding]:
    if not host.reachable:
        said = host.problem.removeprefix(f"{host.host}: ") or "cannot be reached"
        problem, _, fix = said.partition("; ")
        yield Finding(host.host, problem, fix)
        return
    yield from _machine(site.host(host.host), lock, host)
    yield from _address(site.host(host.host), host)
    if host.ledger and host.ledger.site != site.name:
        problem = f"it belongs to the site {host.ledger.site}"
        yield Finding(host.host, problem, f"reset that site first, or take {host.host} out of {site.name}")
    yield from _disk(site, lock, host)


def _machine(host: Host, lock: Lock, seen: HostFacts) -> Iterator[Finding]:
    """Yield where the host is another machine than site.yaml says, by which its files are chosen."""
    arch = arch_of(seen.arch)
    if arch is None:
        known = " and ".join(MACHINES)
        problem = f"its architecture is {seen.arch}; this version knows {known}"
        yield Finding(host.name, problem, "use another host")
    elif arch != host.arch:
        problem = f"its architecture is {arch} ({seen.arch}), and site.yaml says {host.arch}"
        yield Finding(host.name, problem, f"write `arch: {arch}` for {host.name} in site.yaml")
    elif seen.x86_64_level < x86_64_level(host, lock):
        problem = (
            f"its processor is x86-64-v{seen.x86_64_level}; the supply `packages` builds for v{X86_64_LEVEL}"
        )
        yield Finding(host.name, problem, "use a host with AVX2")
    system = system_name(seen.os_id, seen.os_version)
    if host.os and system and system != host.os:
        fix = f"write `os: {system}`" if system in SYSTEMS else "leave `os` out, and no packages are carried"
        problem = f"its operating system is {system}, and site.yaml says {host.os}"
        yield Finding(host.name, problem, f"{fix} for {host.name} in site.yaml")


def _address(host: Host, seen: HostFacts) -> Iterator[Finding]:
    """Yield where no network card has the node's addresses: the pod network goes by the one that does."""
    addresses = [a for a in map(as_ip, host.node_ips) if a]
    held = {a: name for name, has in seen.interfaces.items() for a in map(as_ip, has) if a}
    others = ", ".join(f"{a} on {name}" for a, name in held.items() if not a.is_loopback) or "no address"
    if not addresses and host.role == "server":
        problem = f"{host.node_ip} is a name, and network policies let pods ask a server by its IP address"
        yield Finding(host.name, problem, f"add its nodeAddress; it has {others}")
    # An agent's name is looked up by the host itself; an older probe did not see interfaces.
    if not addresses or not held:
        return
    for address in addresses:
        if address not in held:
            problem = f"no network card of it has {address}; it has {others}"
            fix = "write the address that the other hosts reach it by as nodeAddress"
            yield Finding(host.name, problem, fix)
    yield from _card(host, addresses, held)
    if host.interface and host.interface not in seen.interfaces:
        problem = f"it has no network card {host.interface} with an address"
        yield Finding(host.name, problem, f"one of {', '.join(sorted(seen.interfaces))}")


def _card(host: Host, addresses: list[Address], held: Mapping[Address, str]) -> Iterator[Finding]:
    """Yield where one card does not have both address families: the pod network takes one card for both."""
    where = {address: host.interface or held[address] for address in addresses if address in held}
    told = " and ".join(f"{address} is on {name}" for address, name in where.items())
    if len(set(where.values())) > 1:
        problem = f"{told}, and the pod network goes by one network card"
        yield Finding(host.name, problem, "write two addresses of the same card as nodeAddress")
    has = {address.version for address, name in held.items() if name == host.interface}
    for address in addresses:
        if has and address.version not in has:
            problem = f"its network card {host.interface} has no IPv{address.version} address"
            yield Finding(host.name, problem, "give it one; the pod network of both families goes by it")


def _disk(site: Site, lock: Lock, host: HostFacts) -> Iterator[Finding]:
    missing = sum(blob.size for blob in missing_blobs(wanted_blobs(site, lock)[host.host], host))
    need = missing * _UNPACKED_FACTOR // 2**20 + _SPARE_MIB
    if missing and host.disk_free_mib < need:
        store = paths_of(site.host(host.host).data_dir).blobs
        problem = f"{host.disk_free_mib} MiB are free below {store}, {need} MiB are needed"
        yield Finding(host.host, problem, "make room")
