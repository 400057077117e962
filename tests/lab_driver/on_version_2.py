"""Run in mount and network namespaces of its own: a lab where control groups are version 2 alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from aiplat.lab import lab_down, lab_up, ssh_argv
from aiplat.lab.cgroups import this_machine
from tests.lab_driver.sites import site

NAME = "t-lab-v2"
TREE = "/sys/fs/cgroup"
LOOK = f"systemctl is-system-running --wait; stat -fc %T {TREE}; mkdir {TREE}/t-own && echo writable"


def main() -> None:
    """Print what was seen as JSON."""
    for command in (
        ("mount", "--make-rprivate", "/"),
        ("umount", "--recursive", "--lazy", "/sys/fs/cgroup"),
        ("mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"),
        ("ip", "link", "set", "lo", "up"),
    ):
        subprocess.run(command, check=True)
    try:
        lab_up(site(NAME, "10.92.31.11"))
        host = subprocess.run([*ssh_argv(NAME, "s1"), LOOK], capture_output=True, text=True, check=False)
        groups = len(list(Path("/sys/fs/cgroup").glob(f"aiplat-lab-{NAME}/s1")))
    finally:
        lab_down(NAME)
    seen = {
        "hierarchies": [h.version for h in this_machine()],
        "host": host.stdout.split(),
        "groups while up": groups,
        "groups after down": len(list(Path("/sys/fs/cgroup").glob(f"aiplat-lab-{NAME}"))),
    }
    print(json.dumps(seen))  # noqa: T201  (the parent test reads it)


if __name__ == "__main__":
    main()
