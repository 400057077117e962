"""Checks of what a host is: system, processor, memory, graphics."""

from __future__ import annotations

from aiplat.hosts.check import BLOCKER, NOTE, WARNING, SeenHost, check, family_of

LEAST_MIB = {"server": 1900, "agent": 900}
"""What `2 GB` and `1 GB` machines show of their memory."""
ROOMY_MIB = {"server": 3800, "agent": 1900}
LEAST_CPUS = {"server": 2, "agent": 1}
# Oldest releases of each system on which Kubernetes of this age has what it needs.
KNOWN = {"debian": (12,), "ubuntu": (22, 4), "redhat": (9,), "suse": (15, 5)}


@check("system", WARNING, "use Debian 12 or 13, Ubuntu 22.04 or 24.04, RHEL 9 or a rebuild of it, or SLES 15")
def system(host: SeenHost) -> str:
    """The operating system is one of the families that are known."""
    name = f"{host.look.os_id} {host.look.os_version}".strip() or "a system without os-release"
    return "" if family_of(host.look.os_id) else f"it runs {name}, which this version does not know"


@check("system-release", WARNING, "upgrade the system, or use another host")
def system_release(host: SeenHost) -> str | None:
    """The operating system's release is not older than those that are known."""
    key = host.look.os_id if host.look.os_id in KNOWN else family_of(host.look.os_id)
    oldest = KNOWN.get(key)
    parts = tuple(int(part) for part in host.look.os_version.split(".") if part.isdigit())
    if oldest is None or not parts or host.look.os_id == "fedora":
        return None
    known = ".".join(str(part) for part in oldest)
    return f"{host.look.os_id} {host.look.os_version} is older than {known}" if parts < oldest else ""


@check("architecture", BLOCKER, "use a 64-bit machine with a 64-bit system")
def architecture(host: SeenHost) -> str:
    """The processor is x86-64 or 64-bit ARM, and so is the system on it."""
    return "" if host.look.arch in ("x86_64", "aarch64") else f"its architecture is {host.look.arch}"


@check(
    "processor-level", BLOCKER, "use a machine made after 2009, or set the virtual machine's CPU to `host`"
)
def processor_level(host: SeenHost) -> str:
    """An x86-64 processor has the instructions of level 2 (SSE4.2, POPCNT)."""
    if host.look.arch != "x86_64" or host.look.x86_64_level >= 2:
        return ""
    return f"its processor is x86-64-v{host.look.x86_64_level}; programs of today want v2"


@check("processor-vectors", NOTE, "models answer faster on a processor with AVX2; see the VM's CPU type")
def processor_vectors(host: SeenHost) -> str:
    """An x86-64 processor has AVX2 (level 3), with which models on processors are several times faster."""
    level = host.look.x86_64_level
    return (
        f"its processor is x86-64-v{level}, without AVX2" if host.look.arch == "x86_64" and level == 2 else ""
    )


@check("processors", WARNING, "give it more processors, or let another host be the server")
def processors(host: SeenHost) -> str:
    """A server has 2 processors, an agent 1."""
    least = LEAST_CPUS[host.needs.role]
    return (
        f"it has {host.look.cpus} processor, and a {host.needs.role} wants {least}"
        if host.look.cpus < least
        else ""
    )


@check("memory", BLOCKER, "add memory, or let another host have this role")
def memory(host: SeenHost) -> str:
    """A server has 2 GB of memory, an agent 1 GB."""
    least = LEAST_MIB[host.needs.role]
    if host.look.memory_mib >= least:
        return ""
    return f"it has {host.look.memory_mib} MiB of memory, and a {host.needs.role} needs {least}"


@check("memory-for-models", WARNING, "add memory, or serve models on other hosts")
def memory_for_models(host: SeenHost) -> str:
    """Beyond Kubernetes there is memory for a model: 4 GB on a server, 2 GB on an agent."""
    least, roomy = LEAST_MIB[host.needs.role], ROOMY_MIB[host.needs.role]
    if not least <= host.look.memory_mib < roomy:
        return ""
    return f"{host.look.memory_mib} MiB of memory leave next to nothing for a model beside Kubernetes"


@check("memory-free", WARNING, "stop what uses it", fresh=True, real=True)
def memory_free(host: SeenHost) -> str | None:
    """Most of the memory is free before anything is installed."""
    if not host.look.available_mib or not host.look.memory_mib:
        return None
    share = 100 * host.look.available_mib // host.look.memory_mib
    return f"only {host.look.available_mib} MiB ({share} %) of the memory are free" if share < 40 else ""


@check("swap", NOTE, "leave it: Kubernetes is told not to mind; `swapoff -a` keeps models from slowing down")
def swap(host: SeenHost) -> str:
    """No swap is on, or it is known that it is."""
    return f"{host.look.swap_mib} MiB of swap are on" if host.look.swap_mib else ""


@check("container", WARNING, "use a machine or a virtual machine", real=True)
def container(host: SeenHost) -> str:
    """The host is a machine with a kernel of its own, not a container."""
    return f"the host is a container ({host.look.container})" if host.look.container else ""


@check("gpu", NOTE, "`aiplat doctor gpu` says whether they can be used")
def gpu(host: SeenHost) -> str:
    """GPUs that are there are known."""
    count = len(host.look.gpus)
    return f"it has {count} GPU{'s' if count > 1 else ''}: {', '.join(host.look.gpus)}" if count else ""
