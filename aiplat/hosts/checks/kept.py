"""Checks of hosts that run a site: disks that filled up, certificates that are about to end."""

from __future__ import annotations

from datetime import UTC, datetime

from aiplat.hosts.check import BLOCKER, WARNING, SeenHost, check
from aiplat.hosts.checks.disks import TMP
from aiplat.hosts.facts import Place
from aiplat.moments import moment_at

_FULL_MIB, _FULL_OF_MEMORY_MIB = 256, 16
_DAY = 86400
_DAYS_BEFORE = 30


def _is_full(place: Place) -> bool:
    in_memory = place.kind in ("tmpfs", "ramfs")
    return place.free_mib < (_FULL_OF_MEMORY_MIB if in_memory else _FULL_MIB)


@check("disk-full-elsewhere", BLOCKER, "make room there: what writes to it fails, often without saying so")
def disk_full_elsewhere(host: SeenHost) -> str | None:
    """Every other disk that a site's host writes to has 256 MiB free, one in memory 16 MiB."""
    if not host.look.places:
        return None
    if host.look.owner is None:
        return ""
    # The data's own disk and /tmp have checks of their own.
    others = {p: place for p, place in host.look.places.items() if p not in (host.needs.data, TMP)}
    data = host.look.places.get(host.needs.data)
    full = {path: place for path, place in others.items() if place != data and _is_full(place)}
    return ", ".join(f"the disk at {path} is full: {p.free_mib} MiB are free" for path, p in full.items())


@check("certificates-last", WARNING, "run `aiplat bootstrap`; for one of k3s, restart k3s: it renews its own")
def certificates_last(host: SeenHost) -> str:
    """No certificate on a site's host ends within 30 days."""
    now = host.look.clock or datetime.now(UTC).timestamp()
    soon = {p: end for p, end in host.look.certificates.items() if end < now + _DAYS_BEFORE * _DAY}
    return ", ".join(f"{path} ends on {moment_at(e):%Y-%m-%d}" for path, e in soon.items())
