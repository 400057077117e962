"""What this machine must have before a lab can be made, all of it looked at before anything is changed."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from aiplat.errors import BadInput, Finding
from aiplat.lab import engine
from aiplat.lab.tools import attempt
from aiplat.lab.tree import free_bytes
from aiplat.state import cache_home, state_home

_MACHINE_ID = re.compile("[0-9a-f]{32}")
_FREE_BYTES = 3 * 1000**3
# Tool → the Debian package that has it.
_NSPAWN_TOOLS = {
    "setsid": "util-linux",
    "systemd-nspawn": "systemd-container",
}
_TOOLS = {
    "apt-config": "apt",
    "cp": "coreutils",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "unshare": "util-linux",
}
_ANOTHER_WAY = "or use hosts of your own: list them in a site.yaml and run aiplat with it"


def check_machine(disks: bool = True, driver: str = "nspawn") -> None:
    """Look at everything a lab of a driver needs here; space only if `disks` are still to be made.

    Raises:
        BadInput: one finding for each thing that is missing, with the way out.
    """
    findings = missing(disks, driver)
    if findings:
        raise BadInput(findings)


def missing(disks: bool = True, driver: str = "nspawn") -> list[Finding]:
    """Return a finding for each thing that keeps this machine from having a lab."""
    where = "this machine"
    if platform.system() != "Linux":
        return [Finding(where, f"runs {platform.system()}, lab hosts need Linux", _ANOTHER_WAY)]
    if os.geteuid() != 0:
        return [Finding(where, "lab hosts need root", f"run it as root (sudo), {_ANOTHER_WAY}")]
    found = [*_missing_kernel(where), *(_missing_space() if disks else ())]
    if driver == "docker":
        return [*_missing_tools(where, _TOOLS), *engine.missing(), *found]
    mountinfo = Path("/proc/self/mountinfo").read_text()
    identity = _missing_identity(where, Path("/etc/machine-id"), mountinfo)
    return [*_missing_tools(where, _TOOLS | _NSPAWN_TOOLS), *identity, *found]


def _missing_tools(where: str, wanted: Mapping[str, str]) -> list[Finding]:
    absent = sorted(tool for tool in wanted if shutil.which(tool) is None)
    if not absent:
        return []
    packages = " ".join(sorted({wanted[tool] for tool in absent}))
    return [Finding(where, f"{', '.join(absent)} not found", f"apt-get install {packages}, {_ANOTHER_WAY}")]


def _missing_kernel(where: str) -> list[Finding]:
    """Try bridge and nftables in a network namespace that goes away with the command."""
    found = []
    probes = {
        "bridges": ("ip", "link", "add", "al-probe", "type", "bridge"),
        "nftables": ("nft", "add", "table", "inet", "aiplat-lab-probe"),
    }
    for what, command in probes.items():
        if shutil.which(command[0]) and attempt(("unshare", "--net", *command)).returncode != 0:
            found.append(
                Finding(where, f"the kernel gives no {what} here", f"load its modules, {_ANOTHER_WAY}")
            )
    if not Path("/proc/self/ns/net").exists():
        found.append(Finding(where, "the kernel has no network namespaces", _ANOTHER_WAY))
    return found


def _missing_identity(where: str, machine_id: Path, mountinfo: str) -> list[Finding]:
    """Look for what systemd-nspawn takes for granted and a container or a plain chroot may not have."""
    found = []
    if not (machine_id.exists() and _MACHINE_ID.fullmatch(machine_id.read_text().strip())):
        problem = f"{machine_id} names no machine, lab hosts get their hardware addresses from it"
        found.append(Finding(where, problem, f"run systemd-machine-id-setup, {_ANOTHER_WAY}"))
    if not any(line.split()[4] == "/" for line in mountinfo.splitlines()):
        problem = "its root folder is not a mount point, as in a plain chroot"
        found.append(Finding(where, problem, "bind-mount the folder onto itself before entering it"))
    return found


def _missing_space() -> list[Finding]:
    found, checked = [], set[int]()
    for folder, variable in ((state_home(), "AIPLAT_STATE"), (cache_home(), "XDG_CACHE_HOME")):
        free = free_bytes(folder)
        if free < _FREE_BYTES and free not in checked:
            checked.add(free)
            problem = f"{free / 1e9:.1f} GB free, a lab needs {_FREE_BYTES / 1e9:.0f} GB"
            found.append(Finding(str(folder), problem, f"free some, or point {variable} elsewhere"))
    return found
