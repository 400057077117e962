"""Rules about containers on a host whose driver may be well: toolkit, runtimes, cgroups, CDI, permissions."""

from __future__ import annotations

import re

from aiplat.gpu.knowledge import cuda_branches
from aiplat.gpu.rules.driver import driver_works
from aiplat.gpu.rules.rule import Indication, rule, seen
from aiplat.gpu.signals.all import Signals
from aiplat.gpu.signals.containers import is_inside, lost_inside, rules_without_card

_WANTED_CUDA = re.compile(r"unsatisfied condition: ?cuda ?>= ?(\d+)(\.\d+)?")


@rule("wsl-gpu-blocked")
def wsl(signals: Signals) -> Indication | None:
    """The operating system blocks access, and the kernel is not known to be another one than Microsoft's."""
    told = signals.heard("smi-blocked-by-system")
    release = signals.kernel.release.lower()
    windows = any("microsoft-standard" in fact.flow.lower() for fact in signals.facts)
    if not windows:
        return seen(told) if not release else None
    return seen(told + signals.heard("windows-bridge-fails", "smi-no-devices"))


@rule("host-driver-libraries-missing")
def libraries_missing(signals: Signals) -> Indication | None:
    """The toolkit on the host cannot load NVML; or the plugin cannot and the host has no nvidia-smi."""
    plugin = signals.heard("plugin-library-missing") if signals.heard("smi-missing") else ()
    proof = plugin + signals.heard("smi-missing") if plugin else ()
    return seen(signals.heard("host-library-missing") + proof)


@rule("container-cgroup-bpf-denied")
def cgroup_denied(signals: Signals) -> Indication | None:
    """The hook names the device filter and is refused."""
    return seen(signals.heard("cgroup-denied"))


@rule("cuda-requirement-unsatisfied")
def cuda_unsatisfied(signals: Signals) -> Indication | None:
    """The container's start or the program names the requirement."""
    told = signals.heard("cuda-unsatisfied")
    match = next((m for e in told if (m := _WANTED_CUDA.search(e.quote))), None)
    if not match:
        return seen(told)
    branch = cuda_branches().get(int(match[1]))
    wants = f"it wants CUDA {match[1]}{match[2] or ''}"
    return seen(told, f"{wants}, which begins with driver branch {branch}" if branch else wants)


@rule("container-toolkit-missing")
def toolkit_missing(signals: Signals) -> Indication | None:
    """The driver lists its cards on the host, and the host says that it has no NVIDIA container runtime."""
    if not driver_works(signals) or signals.heard("runtime-there"):
        return None
    inside = {fact.command for fact in signals.facts if is_inside(fact)}
    told = tuple(e for e in signals.heard("runtime-missing") if e.command not in inside)
    return seen(told and (*told, signals.smi.cards[0].evidence))


@rule("container-ldconfig-unusable")
def ldconfig(signals: Signals) -> Indication | None:
    """The container library cannot run the ldconfig that its configuration names."""
    return seen(signals.heard("ldconfig-unusable"))


@rule("cdi-spec-broken")
def cdi_broken(signals: Signals) -> Indication | None:
    """A CDI device is unresolvable or a specification is empty."""
    return seen(signals.heard("cdi-broken"))


@rule("runtime-handler-not-configured")
def handler_missing(signals: Signals) -> Indication | None:
    """The container runtime does not know the handler."""
    return seen(signals.heard("runtime-unknown"))


@rule("container-lost-gpu")
def lost_gpu(signals: Signals) -> Indication | None:
    """NVML fails inside a container with an unknown error, or the container's device list lacks the card."""
    lost = lost_inside(signals.facts) + rules_without_card(signals.facts)
    host_is_well = driver_works(signals) or signals.heard("moved-by-systemd")
    return seen(lost or (signals.heard("smi-unknown-error") if host_is_well else ()))


@rule("nvml-insufficient-permissions")
def no_permission(signals: Signals) -> Indication | None:
    """NVML says insufficient permissions."""
    return seen(signals.heard("smi-no-permission"))
