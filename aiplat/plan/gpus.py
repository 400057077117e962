"""What a bundle offers hosts with GPUs and what is decided with that: roles, reasons, refusals of a plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aiplat.catalog.artifacts import Artifact, Lock, OsPackage
from aiplat.catalog.versions import from_versions_yaml
from aiplat.errors import Finding
from aiplat.gpu.choice import DriverOffer
from aiplat.gpu.decision import Decision, decide
from aiplat.gpu.facts import Fact
from aiplat.gpu.host import Flavour, host_of
from aiplat.gpu.signals.all import read_signals
from aiplat.plan.models import Facts, HostFacts
from aiplat.plan.staging import wanted_artifacts
from aiplat.site.models import Host, Site

DRIVER = "nvidia.driver"
REBOOT_FROM = "from"
"""What the ledger has of a reboot that is not over: the start of the host that it began in."""
COMPONENT = "nvidia"
FLAVOURS: tuple[Flavour, ...] = ("open", "proprietary")
_OF_DRIVER = re.compile(r"(?:lib)?nvidia-(?!container).*|kmod-nvidia.*")
_FABRIC_MANAGER = re.compile(r"nvidia-fabricmanager.*")
_RELEASE = re.compile(r"\d{3}\.\d+(?:\.\d+)?")
# What is not done by the role host_gpu, but after it.
_LATER = frozenset({"reboot", "restart-k3s"})


def usual_offer() -> DriverOffer:
    """Return what any bundle of this version can have for a host."""
    return DriverOffer(branch=int(from_versions_yaml(DRIVER)))


def decision_on(verdict: str, facts: Iterable[Fact]) -> Decision:
    """Return what is to be done about a verdict on a host, with what any bundle can have."""
    return decide(verdict, host_of(read_signals(facts)), usual_offer())


def gets_driver(site: Site, host: Host) -> bool:
    """Whether aiplat looks after a host's driver: its GPUs are named, and the component is on."""
    setting = site.planes.get("resource", {}).get(COMPONENT)
    return host.has_gpus and setting is not None and setting.state == "on"


def gpu_artifacts(host: Host, lock: Lock) -> list[Artifact]:
    """Return the sets of NVIDIA's packages that are brought to a host."""
    return [a for a in wanted_artifacts(host, lock) if a.component == COMPONENT]


def offer_of(host: Host, lock: Lock) -> DriverOffer:
    """Return what a site's bundle has for a host."""
    brought = {a.name: a for a in gpu_artifacts(host, lock)}
    drivers = [brought[f"nvidia-driver-{f}"] for f in FLAVOURS if f"nvidia-driver-{f}" in brought]
    every = [package for a in wanted_artifacts(host, lock) for package in a.packages]
    return usual_offer().model_copy(
        update={
            "version": next((_release(p) for a in drivers for p in a.packages if _is_driver(p)), ""),
            "modules": tuple(f for f in FLAVOURS if f"nvidia-driver-{f}" in brought),
            "fabric_manager": "nvidia-fabricmanager" in brought,
            "headers": tuple(filter(None, map(_headers_for, every))),
        }
    )


def decision_of(site: Site, host: Host, lock: Lock, seen: HostFacts | None) -> Decision | None:
    """Return what is to be done about a host's GPUs; None where it has none or nobody looked."""
    if seen is None or seen.gpu is None or not gets_driver(site, host):
        return None
    known = seen.gpu.host
    if host.gpu_settings.driver == "own" and known.owner == "host":
        known = known.model_copy(update={"owner": "user"})
    return decide(seen.gpu.verdict, known, offer_of(host, lock))


def has_our_driver(seen: HostFacts | None) -> bool:
    """Whether aiplat installed the driver of a host, by its ledger."""
    step = seen.ledger.steps.get("host_gpu") if seen and seen.ledger else None
    return bool(step) and any(map(_OF_DRIVER.fullmatch, step.packages if step else ()))


def is_rebooting(seen: HostFacts) -> bool:
    """Whether a run began a reboot of a host and did not come to its end."""
    step = seen.ledger.steps.get("host_reboot") if seen.ledger else None
    return step is not None and REBOOT_FROM in step.inputs


def gpu_reason(role: str, decision: Decision | None, seen: HostFacts) -> str:
    """Return why a role has something to do about a host's GPUs, or an empty string."""
    if role == "host_reboot" and is_rebooting(seen):
        return "a reboot of it was cut off"
    if decision is None or decision.outcome != "act":
        return ""
    if role == "host_reboot":
        return f"{decision.why}: the host reboots, then its driver is asked" if decision.has("reboot") else ""
    told = [action.text for action in decision.actions if action.kind not in _LATER]
    return f"{decision.why}: {', '.join(told)}" if role == "host_gpu" and told else ""


def gpu_refusals(site: Site, lock: Lock, facts: Facts) -> Iterator[Finding]:
    """Yield why a host's GPUs cannot be used as the site wants; nothing of the site is changed then."""
    for host in site.hosts:
        seen = facts.host(host.name)
        decision = decision_of(site, host, lock, seen)
        if decision is None or seen.gpu is None:
            continue
        if seen.gpu.verdict == "no-gpu":
            problem = (
                f"site.yaml names GPUs ({', '.join(host.hardware.gpus)}), and its bus has none of NVIDIA's"
            )
            yield Finding(host.name, problem, "see whether the card is seated, or take hardware.gpus out")
        for hindrance in decision.problems:
            yield Finding(host.name, f"{seen.gpu.verdict}: {hindrance.what}", hindrance.fix)
        yield from _unequal(host, lock)


def _unequal(host: Host, lock: Lock) -> Iterator[Finding]:
    """Yield where the bundle has a fabric manager of another release than its driver."""
    packages = [package for a in gpu_artifacts(host, lock) for package in a.packages]
    managers = [_release(p) for p in packages if _FABRIC_MANAGER.fullmatch(p.name)]
    drivers = [_release(p) for p in packages if _is_driver(p)]
    if managers and drivers and managers[0] != drivers[0]:
        problem = (
            f"the bundle has driver {drivers[0]} and fabric manager {managers[0]}, which do not go together"
        )
        yield Finding(host.name, problem, "lock the site again: aiplat lock")


def _is_driver(package: OsPackage) -> bool:
    return (
        bool(_OF_DRIVER.fullmatch(package.name))
        and not _FABRIC_MANAGER.fullmatch(package.name)
        and bool(_release(package))
    )


def _release(package: OsPackage) -> str:
    found = _RELEASE.search(package.version)
    return found[0] if found else ""


def _headers_for(package: OsPackage) -> str:
    """Return the kernel that a package has the headers for, as `uname -r` says it."""
    if package.name.startswith("linux-headers-"):
        return package.name.removeprefix("linux-headers-")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(package.arch, package.arch)
    return f"{package.version.rpartition(':')[2]}.{machine}" if package.name == "kernel-devel" else ""
