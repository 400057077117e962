"""Tells what a host is and how its disks, clock, kernel and system are; runs there, and only looks."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import locale
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

COMMAND_SECONDS = 8
PLACES = (
    *("/", "/var/lib", "/etc", "/usr/local", "/tmp", "/run"),  # noqa: S108 - looked at, not written
    *("/var/lib/aiplat", "/var/lib/kubelet", "/var/lib/rancher"),
)
CERTIFICATES = ("/etc/aiplat/*.crt",)
# Below k3s' data folder.
OF_K3S = ("agent/*.crt", "server/tls/client-*.crt", "server/tls/serving-*.crt")
SYSCTLS = (
    "fs.file-max",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "kernel.pid_max",
    "kernel.seccomp.actions_avail",
    "net.ipv4.conf.all.forwarding",
    "net.ipv6.conf.all.disable_ipv6",
    "user.max_user_namespaces",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
)
MODULES = (
    "overlay",
    "br_netfilter",
    "vxlan",
    "nf_conntrack",
    "nf_tables",
    "ip_tables",
    "ip_set",
    "nft_compat",
)
UNITS = (
    *("apparmor", "auditd", "chrony", "chronyd", "containerd", "crio", "docker", "fapolicyd", "firewalld"),
    *("k0scontroller", "k0sworker", "k3s", "k3s-agent", "kubelet", "NetworkManager", "nftables", "ntpd"),
    *("nm-cloud-setup", "nm-cloud-setup.timer", "rke2-agent", "rke2-server", "snap.microk8s.daemon-kubelite"),
    *("systemd-networkd", "systemd-resolved", "systemd-timesyncd", "ufw"),
)
# Files and folders whose being there says something; `*` takes any name.
TRACES = (
    *("/etc/cni/net.d/*", "/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/*.yaml"),
    *("/etc/rancher/k3s/config.yaml", "/etc/rancher/node/password", "/etc/rancher/rke2", "/run/docker.sock"),
    *("/usr/bin/cloud-init", "/usr/bin/dockerd", "/usr/bin/kubeadm", "/usr/local/bin/k3s"),
    *("/usr/local/bin/k0s", "/usr/local/bin/rke2", "/usr/bin/rke2", "/snap/microk8s/current"),
    *("/var/lib/cni", "/var/lib/etcd", "/var/lib/k0s", "/var/lib/kubelet", "/var/lib/rancher/k3s"),
    *("/var/lib/rancher/rke2", "/var/run/reboot-required", "/run/ostree-booted"),
    *("/etc/NetworkManager/conf.d/*.conf", "/var/lib/selinux/*/active/modules/*/k3s"),
    *("/var/lib/selinux/*/active/modules/*/container", "/usr/share/selinux/packages/k3s.pp"),
)
PROXY_FILES = ("/etc/environment", "/etc/default/k3s", "/etc/sysconfig/k3s", "/etc/systemd/system.conf")
PROXY = re.compile(r"\b((?:https?|all|no)_proxy)\s*=", re.IGNORECASE)
UNSYNCHRONISED = 5  # what adjtimex answers then (TIME_ERROR)
TIMEX_BYTES = 1024  # more than struct timex has on any machine


def read(path: Path) -> str:
    """Return a file's text, or nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def output(*argv: str) -> str:
    """Return a command's output, or nothing where it is missing, fails or hangs."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def memory(root: Path) -> dict[str, int]:
    """Return memory and swap in MiB."""
    text = read(root / "proc/meminfo")
    found = dict(re.findall(r"^(MemTotal|MemAvailable|SwapTotal):\s+(\d+) kB", text, re.MULTILINE))
    return {
        "available_mib": int(found.get("MemAvailable", 0)) // 1024,
        "swap_mib": int(found.get("SwapTotal", 0)) // 1024,
    }


def nearest_folder(root: Path, path: str) -> Path:
    """Return what there is of a path: itself, or the last of its folders that exists."""
    nearest = root / path.lstrip("/")
    while not nearest.exists():
        nearest = nearest.parent
    return nearest


def place(root: Path, path: str, mounts: list[list[str]]) -> dict[str, Any]:
    """Return what the file system below a path is and may do."""
    nearest = nearest_folder(root, path)
    real = str(nearest.resolve())
    over = [m for m in mounts if real == m[1] or real.startswith(m[1].rstrip("/") + "/")]
    source, _, kind = (over or [["", "", ""]])[-1][:3]
    space = os.statvfs(nearest)
    return {
        "kind": kind,
        "source": source,
        "size_mib": space.f_blocks * space.f_frsize >> 20,
        "free_mib": space.f_bavail * space.f_frsize >> 20,
        "inodes_free_percent": 100 * space.f_favail // space.f_files if space.f_files else 100,
        "read_only": bool(space.f_flag & os.ST_RDONLY),
        "noexec": bool(space.f_flag & os.ST_NOEXEC),
        "nodev": bool(space.f_flag & os.ST_NODEV),
        "nosuid": bool(space.f_flag & os.ST_NOSUID),
        "rotating": rotating(nearest),
    }


def rotating(path: Path) -> bool:
    """Whether the disk below a path turns; of virtual disks nobody knows, whatever they say."""
    number = path.stat().st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    disks = [device, device.parent, *(p.resolve() for p in device.glob("slaves/*"))]
    real = (disk for disk in disks if not disk.name.startswith(("vd", "xvd", "nbd", "loop")))
    return any(read(disk / "queue/rotational").strip() == "1" for disk in real)


def xfs_without_type(kind: str, path: Path) -> bool:
    """Whether a folder is on an XFS that does not store file types, which overlays need."""
    return kind == "xfs" and "ftype=0" in output("xfs_info", str(path))


def data_folder(root: Path, paths: dict[str, str]) -> dict[str, Any]:
    """Return what the data folder that a site names is, and what of others is in it; nothing without one."""
    if not paths["data"]:
        return {}
    folder = root / paths["data"].lstrip("/")
    inside = (Path(path).name for name, path in paths.items() if name != "data")
    ours = (root / "var/lib/aiplat/data.json").exists()
    return {
        "data_is_file": folder.exists() and not folder.is_dir(),
        "data_real": "/" + str(folder.resolve().relative_to(root.resolve())),
        "data_holds": [] if ours else sorted(name for name in inside if (folder / name).exists()),
    }


def synchronised() -> bool | None:
    """Whether the kernel's clock is kept by a time service; None where the kernel does not say."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != UNSYNCHRONISED


def modules(root: Path, release: str) -> dict[str, str]:
    """Return for each module that is needed: loaded, available or missing."""
    loaded = {line.split()[0] for line in read(root / "proc/modules").splitlines()}
    folder = root / "lib/modules" / release
    listed = read(folder / "modules.builtin") + read(folder / "modules.dep")
    known = {Path(line.partition(":")[0]).name.partition(".ko")[0] for line in listed.splitlines()}
    active = {name for name in MODULES if (root / "sys/module" / name).is_dir()} | loaded
    return {
        name: "loaded" if name in active else "available" if name in known else "missing" for name in MODULES
    }


def cgroups(root: Path) -> dict[str, Any]:
    """Return the version of control groups and the controllers that may be used."""
    unified = root / "sys/fs/cgroup/cgroup.controllers"
    if unified.exists():
        return {"cgroup_version": 2, "cgroup_controllers": read(unified).split()}
    rows = (line.split() for line in read(root / "proc/cgroups").splitlines() if not line.startswith("#"))
    return {"cgroup_version": 1, "cgroup_controllers": [row[0] for row in rows if row[3:] == ["1"]]}


def services() -> dict[str, str]:
    """Return the state of the known units that are there."""
    names = [name if "." in name[-6:] else f"{name}.service" for name in UNITS]
    text = output("systemctl", "show", "--property", "Id,LoadState,ActiveState", *names)
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n"))
    there = (block for block in blocks if block.get("LoadState") in ("loaded", "masked"))
    return {block["Id"].removesuffix(".service"): block["ActiveState"] for block in there}


def systemd(root: Path) -> dict[str, Any]:
    """Return systemd's version and state; version 0 where it does not run this host."""
    if not (root / "run/systemd/system").is_dir():
        return {"systemd": 0, "system_state": ""}
    text = dict(
        line.partition("=")[::2]
        for line in output("systemctl", "show", "-p", "Version,SystemState").splitlines()
    )
    number = re.search(r"\d+", text.get("Version", ""))
    return {"systemd": int(number.group()) if number else 1, "system_state": text.get("SystemState", "")}


def certificates(root: Path, k3s: str) -> dict[str, float]:
    """Return when the first certificate of each file ends, in seconds since the epoch."""
    try:
        import ssl  # noqa: PLC0415 - a minimal Python has none
    except ImportError:
        return {}
    found = {}
    patterns = (*CERTIFICATES, *(f"{k3s}/{pattern}" for pattern in OF_K3S))
    for path in (path for pattern in patterns for path in sorted(root.glob(pattern.lstrip("/")))):
        with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, ssl.SSLError):
            # The one way to read a certificate that Python has by itself; it is there since Python 3.
            shown = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
            found[f"/{path.relative_to(root)}"] = float(ssl.cert_time_to_seconds(shown["notAfter"]))
    return found


def proxies(root: Path) -> dict[str, list[str]]:
    """Return which proxy variables are set where; never their values, which may hold a password."""
    found = {name: sorted(set(PROXY.findall(read(root / name.lstrip("/"))))) for name in PROXY_FILES}
    found["the login's environment"] = sorted(name for name in os.environ if PROXY.match(f"{name}="))
    return {where: names for where, names in found.items() if names}


def traces(root: Path) -> list[str]:
    """Return which of the telling files and folders are there; an empty folder does not count."""
    found = []
    for pattern in TRACES:
        for path in sorted(root.glob(pattern.lstrip("/"))):
            if not path.is_dir() or any(path.iterdir()):
                found.append("/" + str(path.relative_to(root)))
    return found


def security(root: Path) -> dict[str, Any]:
    """Return what SELinux and AppArmor are."""
    enforce = read(root / "sys/fs/selinux/enforce").strip()
    return {
        "selinux": {"1": "enforcing", "0": "permissive"}.get(enforce, ""),
        "apparmor": read(root / "sys/module/apparmor/parameters/enabled").strip() == "Y",
        "apparmor_parser": shutil.which(
            "apparmor_parser", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin"
        )
        is not None,
    }


def graphics(root: Path) -> list[str]:
    """Return the GPUs by name where the driver tells it, else by the numbers on the bus."""
    models = [
        found.group(1).strip()
        for path in sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
        if (found := re.search(r"^Model:\s*(.+)$", read(path), re.MULTILINE))
    ]
    on_bus = [
        f"NVIDIA {read(device / 'device').strip()}"
        for device in sorted((root / "sys/bus/pci/devices").glob("*"))
        if read(device / "vendor").strip() == "0x10de" and read(device / "class").startswith("0x03")
    ]
    return models or on_bus


def locale_works() -> bool:
    """Whether the login's language is installed on the host."""
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        return False
    return True


FORWARDING = r"ipv4[./]ip_forward|bridge[./]bridge-nf-call-iptables"
FORWARDING_IPV6 = r"ipv6[./]conf[./](all|default)[./]forwarding|bridge[./]bridge-nf-call-ip6tables"


def overridden(root: Path, settings: str) -> list[str]:
    """Return the files that turn off a kernel setting which pods' networking needs."""
    off = re.compile(rf"^\s*-?net[./]({settings})\s*=\s*0", re.MULTILINE)
    names = [root / "etc/sysctl.conf", *sorted(root.glob("etc/sysctl.d/*.conf"))]
    return ["/" + str(path.relative_to(root)) for path in names if off.search(read(path))]


def facts(root: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return all of it; what runs a command runs side by side."""
    release = platform.release()
    mounts = [line.split()[:4] for line in read(root / "proc/self/mounts").splitlines()]
    mask = os.umask(0)
    os.umask(mask)
    cpu = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", read(root / "proc/cpuinfo"), re.MULTILINE)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting_services, waiting_systemd = pool.submit(services), pool.submit(systemd, root)
        data = arguments["paths"]["data"] or "/var/lib"
        # The datastore may have a disk of its own.
        wanted = (*PLACES, data, f"{arguments['paths']['k3s']}/server/db")
        places = {path: place(root, path, mounts) for path in wanted}
        return {
            "python": platform.python_version(),
            "cpu_model": cpu.group(1).strip() if cpu else "",
            **memory(root),
            "places": places,
            "xfs_without_type": xfs_without_type(places[data]["kind"], nearest_folder(root, data)),
            **data_folder(root, arguments["paths"]),
            "clock": time.time(),
            "synchronised": synchronised(),
            "kernel": release,
            "kernel_modules_there": (root / "lib/modules" / release).is_dir(),
            "modules": modules(root, release),
            "sysctls": {
                name: " ".join(read(root / "proc/sys" / name.replace(".", "/")).split()) for name in SYSCTLS
            },
            "sysctls_overridden": overridden(root, FORWARDING),
            "sysctls_overridden_ipv6": overridden(root, FORWARDING_IPV6),
            **cgroups(root),
            "hidepid": any(m[1] == "/proc" and re.search(r"hidepid=(?!0|off)", m[3]) for m in mounts),
            "container": read(root / "run/systemd/container").strip(),
            **security(root),
            "proxies": proxies(root),
            "traces": traces(root),
            "gpus": graphics(root),
            "umask": f"{mask:04o}",
            "locale_works": locale_works(),
            "foreign_k3s": foreign_k3s(root),
            "certificates": certificates(root, arguments["paths"]["k3s"]),
            "services": waiting_services.result(),
            **waiting_systemd.result(),
        }


def foreign_k3s(root: Path) -> str:
    """Return the unit file of a k3s that something else than aiplat installed, or nothing."""
    folder = root / "etc/systemd/system"
    paths = [folder / f"{name}.service" for name in ("k3s", "k3s-agent")]
    return next((f"/{p.relative_to(root)}" for p in paths if p.exists() and "aiplat" not in read(p)), "")


if __name__ == "__main__":
    import json

    json.dump(facts(Path("/"), {"paths": {"data": "", "k3s": "/var/lib/rancher/k3s"}}), sys.stdout)
