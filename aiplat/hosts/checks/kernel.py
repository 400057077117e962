"""Checks of the kernel: release, modules, control groups, limits."""

from __future__ import annotations

import re

from aiplat.hosts.check import BLOCKER, NOTE, WARNING, SeenHost, check

OLDEST, ADVISED = (4, 19), (5, 8)
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
LEAST = {
    "fs.inotify.max_user_instances": 512,
    "fs.inotify.max_user_watches": 65536,
    "kernel.pid_max": 32768,
    "fs.file-max": 200_000,
}


def _release(host: SeenHost) -> tuple[int, ...] | None:
    found = re.match(r"(\d+)\.(\d+)", host.look.kernel)
    return tuple(int(part) for part in found.groups()) if found else None


@check("kernel", BLOCKER, "upgrade the kernel or the system")
def kernel(host: SeenHost) -> str | None:
    """The kernel is 4.19 or newer."""
    release = _release(host)
    return None if release is None else f"its kernel is {host.look.kernel}" if release < OLDEST else ""


@check("kernel-advised", NOTE, "upgrade when you can: control groups of version 2 work well from 5.8")
def kernel_advised(host: SeenHost) -> str | None:
    """The kernel is 5.8 or newer."""
    release = _release(host)
    return (
        None
        if release is None
        else f"its kernel is {host.look.kernel}"
        if OLDEST <= release < ADVISED
        else ""
    )


@check(
    "kernel-modules",
    BLOCKER,
    "restart the host: its kernel was upgraded, and the running one has lost its modules",
    real=True,
)
def kernel_modules(host: SeenHost) -> str:
    """The running kernel's modules are on the disk."""
    gone = not host.look.kernel_modules_there and "missing" in host.look.modules.values()
    return f"/lib/modules/{host.look.kernel} is not there" if gone else ""


def _module(name: str) -> str | None:
    return f"install the kernel's extra modules (linux-modules-extra or kernel-modules-extra) for `{name}`"


def _lacks(host: SeenHost, name: str) -> str | None:
    state = host.look.modules.get(name)
    return None if state is None else f"the kernel has no module {name}" if state == "missing" else ""


@check("module-overlay", BLOCKER, str(_module("overlay")), real=True)
def module_overlay(host: SeenHost) -> str | None:
    """The kernel can lay file systems over one another (overlay): containers' images are such."""
    return _lacks(host, "overlay")


@check("module-br-netfilter", BLOCKER, str(_module("br_netfilter")), real=True)
def module_br_netfilter(host: SeenHost) -> str | None:
    """The kernel shows bridged packets to its filters (br_netfilter), where services are made."""
    return _lacks(host, "br_netfilter")


@check("module-vxlan", BLOCKER, str(_module("vxlan")), real=True)
def module_vxlan(host: SeenHost) -> str | None:
    """The kernel has VXLAN, by which pods of several hosts reach each other."""
    return _lacks(host, "vxlan")


@check("module-nf-conntrack", BLOCKER, str(_module("nf_conntrack")), real=True)
def module_nf_conntrack(host: SeenHost) -> str | None:
    """The kernel follows connections (nf_conntrack), as services need."""
    return _lacks(host, "nf_conntrack")


@check("module-ip-set", WARNING, str(_module("ip_set")), real=True)
def module_ip_set(host: SeenHost) -> str | None:
    """The kernel has sets of addresses (ip_set), by which network policies are kept."""
    return _lacks(host, "ip_set")


def _unified(host: SeenHost) -> str:
    if host.look.os_id in ("rhel", "rocky", "almalinux", "ol", "centos"):
        return "`grubby --update-kernel=ALL --args=systemd.unified_cgroup_hierarchy=1`, then restart"
    return "add `systemd.unified_cgroup_hierarchy=1` to GRUB_CMDLINE_LINUX, `update-grub`, then restart"


@check("cgroup-version", BLOCKER, _unified, real=True)
def cgroup_version(host: SeenHost) -> str | None:
    """Control groups are of version 2: Kubernetes refuses version 1 from 1.35 on."""
    version = host.look.cgroup_version
    return None if not version else "its control groups are of version 1" if version == 1 else ""


@check(
    "cgroup-controllers",
    BLOCKER,
    "add `cgroup_enable=cpuset,memory cgroup_memory=1` to the kernel's command line and restart",
)
def cgroup_controllers(host: SeenHost) -> str | None:
    """The controllers cpu, cpuset, memory and pids are there; a Raspberry Pi has memory turned off."""
    if not host.look.cgroup_version:
        return None
    lacking = [name for name in CONTROLLERS if name not in host.look.cgroup_controllers]
    return f"control groups lack {', '.join(lacking)}" if lacking else ""


def _least(host: SeenHost, name: str) -> str | None:
    text = host.look.sysctls.get(name, "")
    if not text.isdigit():
        return None
    return f"{name} is {text}, and {LEAST[name]} is little" if int(text) < LEAST[name] else ""


def _set(name: str) -> str:
    return f"echo {name}={LEAST[name]} > /etc/sysctl.d/80-limits.conf; sysctl --system"


# What many watching programs on one host run out of first; their messages then speak of full disks.
@check("limit-inotify-instances", WARNING, _set("fs.inotify.max_user_instances"), real=True)
def limit_inotify_instances(host: SeenHost) -> str | None:
    """512 inotify instances a user may be open: kubelet, containerd and pods all watch files as root."""
    return _least(host, "fs.inotify.max_user_instances")


@check("limit-inotify-watches", WARNING, _set("fs.inotify.max_user_watches"), real=True)
def limit_inotify_watches(host: SeenHost) -> str | None:
    """65536 files a user may be watched."""
    return _least(host, "fs.inotify.max_user_watches")


@check("limit-processes", WARNING, _set("kernel.pid_max"))
def limit_processes(host: SeenHost) -> str | None:
    """32768 processes and threads may run."""
    return _least(host, "kernel.pid_max")


@check("limit-files", WARNING, _set("fs.file-max"))
def limit_files(host: SeenHost) -> str | None:
    """200000 files may be open on the host."""
    return _least(host, "fs.file-max")


@check(
    "overcommit",
    WARNING,
    "set vm.overcommit_memory to 0 or 1; the file in /etc/sysctl.d that sets it says why it did",
    fresh=True,
)
def overcommit(host: SeenHost) -> str:
    """Memory may be promised beyond what is there: engines map files larger than they use."""
    return "vm.overcommit_memory is 2" if host.look.sysctls.get("vm.overcommit_memory") == "2" else ""


@check("panic-on-oom", WARNING, "set vm.panic_on_oom to 0")
def panic_on_oom(host: SeenHost) -> str:
    """A pod that takes too much memory is ended, not the whole host."""
    value = host.look.sysctls.get("vm.panic_on_oom", "0")
    return f"vm.panic_on_oom is {value}: one pod may restart the host" if value not in ("0", "") else ""


@check("seccomp", WARNING, "use a kernel built with CONFIG_SECCOMP_FILTER")
def seccomp(host: SeenHost) -> str | None:
    """System calls can be filtered (seccomp), as the platform's pods ask."""
    if "kernel.seccomp.actions_avail" not in host.look.sysctls:
        return None
    return "" if host.look.sysctls["kernel.seccomp.actions_avail"] else "the kernel has no seccomp filter"


@check("user-namespaces", NOTE, "leave it: no part of the platform needs them", real=True)
def user_namespaces(host: SeenHost) -> str:
    """User namespaces may be made."""
    return "user.max_user_namespaces is 0" if host.look.sysctls.get("user.max_user_namespaces") == "0" else ""


@check(
    "hidepid",
    WARNING,
    "take `hidepid` from the line of /proc in /etc/fstab, then `mount -o remount,hidepid=0 /proc`",
)
def hidepid(host: SeenHost) -> str:
    """Programs see each other in /proc: what measures pods runs as several users."""
    return "/proc is mounted with hidepid" if host.look.hidepid else ""


@check("forwarding-kept", BLOCKER, "take that line out of the file")
def forwarding_kept(host: SeenHost) -> str:
    """No file in /etc/sysctl.d turns off the forwarding of packets at the next start."""
    six = host.look.sysctls_overridden_ipv6 if host.needs.has_ipv6 else ()
    files = dict.fromkeys((*host.look.sysctls_overridden, *six))
    return f"{', '.join(files)} turns packet forwarding off" if files else ""
