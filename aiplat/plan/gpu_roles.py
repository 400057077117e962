"""Fills the variables of the roles for hosts with GPUs, from what was decided about them."""

from __future__ import annotations

from typing import Literal

from aiplat.catalog.artifacts import Lock
from aiplat.gpu.decision import Decision
from aiplat.hosts.paths import paths_of
from aiplat.plan.gpus import decision_of, gets_driver, gpu_artifacts, has_our_driver
from aiplat.plan.models import Facts, HostFacts
from aiplat.plan.packages import packages_in
from aiplat.plan.role_variables import HostGpu, HostReboot, RoleVariables
from aiplat.plan.steps import step_kind
from aiplat.site.models import Host, Site


def gpu_roles(site: Site, host: Host, lock: Lock, facts: Facts | None) -> list[RoleVariables]:
    """Return the variables of a host's roles about GPUs; none where aiplat does not look after any."""
    if not gets_driver(site, host):
        return []
    seen = facts.host(host.name) if facts else None
    decision = decision_of(site, host, lock, seen)
    installs = decision is None or decision.has("driver") or has_our_driver(seen)
    driver = host.gpu_settings.driver == "bundle" and installs
    sets = [a for a in gpu_artifacts(host, lock) if driver or a.when == "gpu"]
    gpu = HostGpu(
        paths=paths_of(host.data_dir),
        packages=tuple(package for artifact in sets for package in packages_in(artifact)),
        driver=driver,
        replace=decision is not None and decision.has("remove-driver"),
        initramfs=decision is not None and decision.has("nouveau"),
        fabric_manager=_fabric_manager(host, decision),
        again=decision is not None and (decision.has("cdi") or decision.has("nodes")),
        restart=_restarted(host, decision, seen),
    )
    return [gpu, HostReboot(drain=_can_drain(host, facts), node=_is_node(host, facts))]


def _fabric_manager(host: Host, decision: Decision | None) -> Literal["on", "off", "leave"]:
    if decision is not None and decision.has("no-fabric-manager"):
        return "off"
    wanted = host.gpu_settings.fabric_manager or (decision is not None and decision.has("fabric-manager"))
    return "on" if wanted else "leave"


def _restarted(host: Host, decision: Decision | None, seen: HostFacts | None) -> tuple[str, ...]:
    if decision is None or seen is None or not decision.has("restart-k3s"):
        return ()
    unit = step_kind(f"k3s_{host.role}").unit
    return (unit,) if seen.units.get(unit, {}).get("ActiveState") == "active" else ()


def _is_node(host: Host, facts: Facts | None) -> bool:
    return any(host.name in one.nodes for one in facts.hosts) if facts else False


def _can_drain(host: Host, facts: Facts | None) -> bool:
    """Whether the host is a node of a cluster in which another one is Ready."""
    seen = facts.hosts if facts else ()
    ready = {name for one in seen for name in one.nodes_ready}
    return _is_node(host, facts) and bool(ready - {host.name})
