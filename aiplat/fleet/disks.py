"""Names disks of hosts that are full, the cause of much that fails; room for what comes is the plan's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from aiplat.errors import Finding
from aiplat.fleet.probe import MAX_PARALLEL
from aiplat.fleet.ssh import HostError, run_on
from aiplat.hosts.paths import paths_of
from aiplat.site.models import Host, Site

_SECONDS = 20.0
# What aiplat and Kubernetes write to besides the folders that grow; more than one may be a disk of its own.
_FOLDERS = (
    *("/", "/etc", "/usr/local", "/var/lib", "/var/lib/aiplat", "/var/lib/kubelet"),
    *("/var/log", "/run", "/tmp"),  # noqa: S108 - looked at, not written
)
_LEAST_MIB = 256
"""Below it Kubernetes' store and the kubelet begin to fail."""
_LEAST_OF_MEMORY_MIB = 16
_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
_LINE = re.compile(r"^(\S+)\s+(\d+)\s+\d+\s+(-?\d+)\s+\S+\s+(/.*)$")


def full_disks(site: Site) -> tuple[Finding, ...] | None:
    """Return a finding for each full file system of a site's hosts; None where none could be asked.

    A host that cannot be asked has none: that is for others to say.
    """
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL) as pool:
        found = [f for f in pool.map(lambda host: _of_host(site, host), site.hosts) if f is not None]
    return tuple(finding for findings in found for finding in findings) if found else None


def _of_host(site: Site, host: Host) -> list[Finding] | None:
    # Folders that are not there are df's error, and the rest of its answer is good.
    own = paths_of(host.data_dir)
    folders = dict.fromkeys((*_FOLDERS, own.blobs, own.kubelet, own.k3s, f"{own.k3s}/server/db"))
    try:
        done = run_on(site, host, ["df", "-P", "-m", *folders], timeout=_SECONDS)
    except HostError:
        return None
    return list(full(host.name, done.stdout.decode(errors="replace")))


def full(host: str, table: str) -> Iterator[Finding]:
    """Yield a finding for each full file system in what `df -P -m` printed, each once."""
    seen = set()
    for line in table.splitlines():
        row = _LINE.match(line)
        if row is None or row[4] in seen:
            continue
        source, size, free, mount = row[1], int(row[2]), int(row[3]), row[4]
        seen.add(mount)
        least = _LEAST_OF_MEMORY_MIB if source in _IN_MEMORY else _LEAST_MIB
        if free < least:
            problem = f"the disk at {mount} is full: {max(free, 0)} of {size} MiB are free"
            yield Finding(host, problem, "make room there, then run the same command again")
