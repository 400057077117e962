"""Findings about hosts' GPUs that depend on what is on: whether something shares them as the site says."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from aiplat.errors import Finding
from aiplat.site.models import Site

OPERATOR = "gpu-operator"


def unshared_gpus(site: Site, on: Collection[str], supply: str) -> Iterator[Finding]:
    """Yield hosts whose sharing nothing would make so.

    Under `packages` only lab hosts are made, whose device plugin is a simulated one.
    """
    for index, host in enumerate(site.hosts):
        if host.sharing.ways and OPERATOR not in on and supply == "upstream":
            problem = f"{OPERATOR} is off, and nothing else shares the GPUs of {host.name}"
            fix = f"turn planes.resource.{OPERATOR} on, or leave `sharing` out"
            yield Finding(f"hosts[{index}].gpu.sharing", problem, fix)
