"""What Kubernetes and aiplat leave running on a host; the packet filter is in host_firewall."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ansible.module_utils.aiplat_host import K3S
from ansible.module_utils.host_commands import Kind, attempt, json_of, read, text_of

KILL_SECONDS = 10.0
# A process is Kubernetes' if its program is k3s or in k3s' data folder, or if it runs in a control group with
# one of these in its name: pods, and what the units of any k3s started.
K3S_GROUPS = ("kubepods", *(f"/{name}.service" for name in ("k3s", "k3s-agent")))
# Besides those below the folders of k3s and the kubelet.
MOUNTS = ("/run/k3s", "/run/netns/cni-")
LINKS = ("cni0", "flannel.1", "flannel-v6.1", "flannel-wg", "flannel-wg-v6", "kube-ipvs0")
ROUTE_PROTOCOL = "107"


def runs(program: str) -> bool:
    """Say whether a program of this name runs on the host."""
    names = (read(entry / "comm").strip() for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return program in names


def find_processes(k3s: Sequence[str], programs: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return the pids of pods' processes, containerd and its shims, and whatever our units started."""
    begins = (*programs, *(f"{folder}/" for folder in k3s))
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        try:
            program = str((entry / "exe").readlink())
        except OSError:
            continue  # it ended meanwhile, or it is the kernel's own
        if program.startswith(begins) or any(group in read(entry / "cgroup") for group in groups):
            found.append(entry.name)
    return found


def kill(pids: list[str]) -> None:
    """Kill processes and wait until they are gone."""
    handles = []
    for pid in pids:
        try:
            handle = os.pidfd_open(int(pid))
        except OSError:
            continue
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        handles.append(handle)
    for handle in handles:
        select.select([handle], [], [], KILL_SECONDS)
        os.close(handle)


def find_mounts(folders: Sequence[str]) -> list[str]:
    """Return the mount points below Kubernetes' folders, the deepest first."""
    begins = (*MOUNTS, *(f"{folder}/" for folder in folders))
    points = [line.split()[4] for line in read(Path("/proc/self/mountinfo")).splitlines()]
    decoded = (point.encode().decode("unicode_escape") for point in points)
    return sorted((point for point in decoded if point.startswith(begins)), key=len, reverse=True)


def unmount(points: list[str]) -> None:
    """Unmount, at once where possible and else as soon as nobody uses them."""
    for point in points:
        if subprocess.run(["umount", point], capture_output=True, check=False).returncode:
            attempt("umount", "--lazy", point)


def find_namespaces() -> list[str]:
    """Return the network namespaces of pods."""
    return sorted(path.name for path in Path("/run/netns").glob("cni-*"))


def delete_namespaces(names: list[str]) -> None:
    """Delete network namespaces, also those whose mount is gone already."""
    for name in names:
        attempt("ip", "netns", "delete", name)
        Path("/run/netns", name).unlink(missing_ok=True)


def find_links() -> list[str]:
    """Return the network links of the pod network."""
    links = json_of("ip", "-json", "link", "show")
    return [link["ifname"] for link in links if link["ifname"] in LINKS or link.get("master") == "cni0"]


def delete_links(names: list[str]) -> None:
    """Delete network links."""
    for name in names:
        attempt("ip", "link", "delete", name)


def find_routes() -> list[str]:
    """Return the routes to other nodes' pods, of both families."""
    shown = (json_of("ip", "-json", of, "route", "show", "proto", ROUTE_PROTOCOL) for of in ("-4", "-6"))
    return [route["dst"] for routes in shown for route in routes]


def delete_routes(targets: list[str]) -> None:
    """Delete routes to other nodes' pods."""
    for target in targets:
        family = "-6" if ":" in target else "-4"
        attempt("ip", family, "route", "delete", target, "proto", ROUTE_PROTOCOL)


def find_slices() -> list[str]:
    """Return the transient units of pods, which systemd would make again when it reads its files again."""
    patterns = ("kubepods.slice", "kubepods-*.slice")
    listed = text_of("systemctl", "list-units", "--all", "--plain", "--no-legend", *patterns)
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def stop_slices(names: list[str]) -> None:
    """Stop pods' units; the outermost takes all others with it."""
    attempt("systemctl", "stop", "kubepods.slice", *names)
    attempt("systemctl", "reset-failed", *names)


def find_groups() -> list[str]:
    """Return the control groups of pods, the deepest first."""
    root = Path("/sys/fs/cgroup")
    tops = [path for depth in ("*", "*/*", "*/*/*", "*/*/*/*") for path in root.glob(f"{depth}")
            if path.name in {"kubepods", "kubepods.slice", "k8s.io"} and path.is_dir()]  # fmt: skip
    inside = (Path(folder) for top in tops for folder, _, _ in os.walk(top))
    return sorted({str(path) for path in inside}, key=len, reverse=True)


def delete_groups(paths: list[str]) -> None:
    """Delete control groups, which are empty once their processes are gone."""
    for path in paths:
        try:
            Path(path).rmdir()
        except OSError:
            continue


def remove_paths(names: list[str]) -> None:
    """Remove files, links and folders; what resists is seen by looking again."""
    for name in names:
        path = Path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def processes(k3s: Sequence[str], programs: Sequence[str], units: Sequence[str]) -> Kind:
    """Return the kind of what runs: pods, and what is of these programs, folders of programs and units.

    `k3s` are the folders below which k3s has programs of its own.
    """
    name = "processes of pods, of Kubernetes and of aiplat"
    groups = (*K3S_GROUPS, *(f"/{unit}" for unit in units))
    return Kind(name, partial(find_processes, k3s, (K3S, *programs), groups), kill)


def kubernetes_processes(k3s: Sequence[str]) -> Kind:
    """Return the kind of what runs for Kubernetes alone: the site's registry stays up."""
    name = "processes of pods and of Kubernetes"
    return Kind(name, partial(find_processes, k3s, (K3S,), K3S_GROUPS), kill)


def mounts(folders: Sequence[str]) -> Kind:
    """Return the kind of what is mounted below the folders of k3s and the kubelet, or for pods."""
    name = "mounts below " + ", ".join((*MOUNTS, *folders))
    return Kind(name, partial(find_mounts, folders), unmount)


NETWORK = (
    Kind("network namespaces of pods", find_namespaces, delete_namespaces),
    Kind("network links of the pod network", find_links, delete_links),
    Kind("routes to other nodes' pods", find_routes, delete_routes),
)
# Before systemd reads its files again, and when nothing runs in them any more.
GROUPS_OF_PODS = (
    Kind("systemd's slices of pods", find_slices, stop_slices),
    Kind("control groups of pods", find_groups, delete_groups),
)
