"""Looks for traces of a lab by the system's own means, not by the code under test."""

from __future__ import annotations

import subprocess
from pathlib import Path


def traces(lab: str, bridge: str, *folders: Path) -> dict[str, list[str]]:
    """Return what of the lab is on this machine, by kind; every kind that was looked at is a key.

    `folders` are the state and cache folders the lab was made with.
    """
    return {
        "processes by command line or control group": _processes(lab),
        "mounts": [line for line in _read("/proc/self/mountinfo").splitlines() if f"/labs/{lab}/" in line],
        "links": [
            link
            for link in _output("ip", "-o", "link").splitlines()
            if f"{bridge}:" in link or f"{lab}." in link
        ],
        "nftables": [
            line for line in _output("nft", "list", "ruleset").splitlines() if f"aiplat-lab-{lab} " in line
        ],
        "rules of others": [
            line for line in _output("nft", "list", "ruleset").splitlines() if f'"aiplat-lab {lab}"' in line
        ],
        "control groups": [str(p) for p in Path("/sys/fs/cgroup").glob(f"**/aiplat-lab-{lab}")],
        "systemd-nspawn's files": [str(p) for p in Path("/run/systemd/nspawn").glob(f"**/{lab}.*")],
        "unfinished roots": [str(p) for f in folders for p in f.glob("**/.building-*")],
        "state": [str(p) for f in folders for p in f.glob(f"**/{lab}*")],
    }


def _processes(lab: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        command = _read(str(entry / "cmdline")).replace("\0", " ")
        if f"/labs/{lab}/" in command or f"/aiplat-lab-{lab}" in _read(str(entry / "cgroup")):
            found.append(f"{entry.name} {command}")
    return found


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
