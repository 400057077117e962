"""What Kubernetes and aiplat leave in a host's kernel, each kind to be found and removed; no files."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KILL_SECONDS = 10.0
# A process is Kubernetes' or ours if its program is in one of these …
PROGRAMS = ("/var/lib/rancher/k3s/", "/usr/local/bin/k3s", "/usr/local/lib/aiplat/")
# … or if it runs in a control group with one of these in its name (pods, and what the units started).
GROUPS = ("kubepods", "/k3s.service", "/k3s-agent.service", "/aiplat-registry.service")
MOUNTS = ("/run/k3s", "/var/lib/kubelet", "/var/lib/rancher/k3s", "/run/netns/cni-")
LINKS = ("cni0", "flannel.1", "flannel-v6.1", "flannel-wg", "flannel-wg-v6", "kube-ipvs0")
TABLES = re.compile(r"^(kube-proxy|standin-.*|cni_.*|cni-.*|flannel.*|KUBE-.*)$")
CHAINS = re.compile(r"\b(KUBE-|CNI-|FLANNEL|flannel)")
ROUTE_PROTOCOL = "107"


@dataclass(frozen=True)
class Kind:
    """One kind of remains: what it is called, how it is found and how what was found is removed."""

    name: str
    find: Callable[[], list[str]]
    remove: Callable[[list[str]], None]


def text_of(*argv: str) -> str:
    """Return what a command prints; nothing where it is missing or fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def attempt(*argv: str) -> None:
    """Run a command whose success is seen by looking again afterwards."""
    text_of(*argv)


def json_of(*argv: str) -> list[dict[str, Any]]:
    """Return the list a command prints as JSON."""
    text = text_of(*argv)
    found: list[dict[str, Any]] = json.loads(text) if text.strip() else []
    return found


def read(path: Path) -> str:
    """Return a file's text, or nothing where it is gone."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def runs(program: str) -> bool:
    """Say whether a program of this name runs on the host."""
    names = (read(entry / "comm").strip() for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return program in names


def find_processes() -> list[str]:
    """Return the pids of pods' processes, containerd and its shims, and whatever our units started."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        try:
            program = str((entry / "exe").readlink())
        except OSError:
            continue  # it ended meanwhile, or it is the kernel's own
        if program.startswith(PROGRAMS) or any(group in read(entry / "cgroup") for group in GROUPS):
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


def find_mounts() -> list[str]:
    """Return the mount points below Kubernetes' folders, the deepest first."""
    points = [line.split()[4] for line in read(Path("/proc/self/mountinfo")).splitlines()]
    decoded = (point.encode().decode("unicode_escape") for point in points)
    return sorted((point for point in decoded if point.startswith(MOUNTS)), key=len, reverse=True)


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
    """Return the routes to other nodes' pods."""
    return [route["dst"] for route in json_of("ip", "-json", "route", "show", "proto", ROUTE_PROTOCOL)]


def delete_routes(targets: list[str]) -> None:
    """Delete routes to other nodes' pods."""
    for target in targets:
        attempt("ip", "route", "delete", target, "proto", ROUTE_PROTOCOL)


def find_tables() -> list[str]:
    """Return the nftables tables of Services, network policies and host ports, as `family name`."""
    text = text_of("nft", "--json", "list", "tables")
    items = json.loads(text)["nftables"] if text else []
    tables = [item["table"] for item in items if "table" in item]
    return [f"{table['family']} {table['name']}" for table in tables if TABLES.match(table["name"])]


def delete_tables(tables: list[str]) -> None:
    """Delete nftables tables."""
    for table in tables:
        attempt("nft", "delete", "table", *table.split())


def find_chains() -> list[str]:
    """Return the lines of iptables that are Kubernetes' (where iptables is what k3s used)."""
    saved = [(tool, text_of(f"{tool}-save")) for tool in ("iptables", "ip6tables")]
    return [f"{tool} {line}" for tool, text in saved for line in text.splitlines() if CHAINS.search(line)]


def delete_chains(lines: list[str]) -> None:
    """Load iptables again without Kubernetes' lines."""
    for tool in {line.split()[0] for line in lines}:
        kept = [line for line in text_of(f"{tool}-save").splitlines() if not CHAINS.search(line)]
        rules = "\n".join([*kept, ""])
        subprocess.run([f"{tool}-restore"], input=rules, text=True, capture_output=True, check=False)


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


KERNEL = (
    Kind("processes of pods, of Kubernetes and of aiplat", find_processes, kill),
    Kind("mounts below " + ", ".join(MOUNTS), find_mounts, unmount),
    Kind("network namespaces of pods", find_namespaces, delete_namespaces),
    Kind("network links of the pod network", find_links, delete_links),
    Kind("routes to other nodes' pods", find_routes, delete_routes),
    Kind("nftables tables of Services and policies", find_tables, delete_tables),
    Kind("iptables rules of Services and policies", find_chains, delete_chains),
    Kind("control groups of pods", find_groups, delete_groups),
)
