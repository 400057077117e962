#!/usr/bin/python
"""Ansible module: says everything at once that keeps a host from being one of aiplat's; changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, below, read_ledger
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_checks
short_description: Whether a host can be one of this site's
options:
  site: {description: "Name of the site the host shall belong to.", type: str, required: true}
  lab_only: {description: "What will be installed is for lab hosts only.", type: bool, default: false}
  x86_64_level: {description: "The lowest x86-64 level that the content runs on.", type: int, default: 3}
  disk_free_mib: {description: "Space that must be free below the data folder.", type: int, default: 0}
  data: {description: "The data folder, or what holds the usual ones.", type: path, default: /var/lib}
  now: {description: "The operator's time, in seconds since the epoch.", type: float, required: true}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The host can be one of this site's
  host_checks: {site: ward-3, now: "{{ now(utc=true).timestamp() }}"}
"""
RETURN = r"""#"""

# Certificates are valid from a moment ago; a clock further off refuses them.
CLOCK_TOLERANCE_SECONDS = 120
LEVEL_3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}


def cpu_problem(root: str, level: int) -> str:
    """Say what the processor lacks."""
    text = below(root, "/proc/cpuinfo").read_text(errors="replace")
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    lacking = sorted(LEVEL_3.difference(flags)) if level >= 3 else []
    return f"the processor is not x86-64-v3: it lacks {', '.join(lacking)}" if lacking else ""


def disk_problem(root: str, data: str, needed: int) -> str:
    """Say whether space is missing."""
    folder = below(root, data)
    space = os.statvfs(next(path for path in (folder, *folder.parents) if path.exists()))
    free = space.f_bavail * space.f_frsize >> 20
    return f"{free} MiB are free below {data} and {needed} MiB are needed" if free < needed else ""


def lab_problem(root: str, lab_only: bool) -> str:
    """Say whether lab content would go to a host that is not a lab host."""
    if not lab_only or below(root, "/etc/aiplat/lab-host").exists():
        return ""
    return "this is not a lab host, and the bundle holds the stand-in for k3s, which is for labs alone"


def clock_problem(now: float) -> str:
    """Say whether the clock is off."""
    off = time.time() - now
    return (
        f"the clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}"
        if abs(off) > CLOCK_TOLERANCE_SECONDS
        else ""
    )


def foreign_problem(root: str, site: str) -> str:
    """Say whether another site or another Kubernetes has this host."""
    try:
        ledger = read_ledger(root, site)
    except HostProblem as error:
        return str(error)
    unit = next(
        (u for u in ("k3s", "k3s-agent") if below(root, f"/etc/systemd/system/{u}.service").exists()), ""
    )
    ours = below(root, f"/etc/systemd/system/{unit}.service")
    if unit and not ledger["steps"] and "aiplat" not in Path(ours).read_text(errors="replace"):
        return f"{ours} is there already and not aiplat's; remove that k3s first"
    return ""


def problems(p: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong, empty ones for what is not."""
    yield lab_problem(p["root"], p["lab_only"])
    yield foreign_problem(p["root"], p["site"])
    yield cpu_problem(p["root"], p["x86_64_level"])
    yield disk_problem(p["root"], p["data"], p["disk_free_mib"])
    yield clock_problem(p["now"])


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "str", "required": True},
            "lab_only": {"type": "bool", "default": False},
            "x86_64_level": {"type": "int", "default": 3},
            "disk_free_mib": {"type": "int", "default": 0},
            "data": {"type": "path", "default": "/var/lib"},
            "now": {"type": "float", "required": True},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    found = [sentence for sentence in problems(module.params) if sentence]
    if found:
        module.fail_json(msg="; ".join(found))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
