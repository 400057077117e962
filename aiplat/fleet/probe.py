"""Looks at hosts, one call each, side by side; what follows from what is seen belongs to aiplat.plan."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aiplat.fleet.ssh import HostError, run_on
from aiplat.plan.models import Facts, HostFacts
from aiplat.site.models import Host, Site

PROBE_SECONDS = 60
MAX_PARALLEL = 32
REMOTE = Path(__file__).parent / "remote"


def gather_facts(site: Site) -> Facts:
    """Probe all hosts of a site side by side.

    A host that cannot be reached is a fact (`reachable` false, `problem` a sentence), not an error.
    Each line of `drift` is `<step>: <sentence>`.
    """
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL) as pool:
        return Facts(hosts=tuple(pool.map(lambda host: probe(site, host), site.hosts)))


def probe(site: Site, host: Host) -> HostFacts:
    """Return one host's facts from a single ssh call."""
    script = (REMOTE / "probe_host.py").read_bytes()
    try:
        done = run_on(site, host, ["python3", "-"], stdin=script, timeout=PROBE_SECONDS)
    except HostError as error:
        return HostFacts(host=host.name, reachable=False, problem=str(error.findings[0]))
    if done.code != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.code}"])[-1]
        return HostFacts(host=host.name, reachable=False, problem=f"{host.name}: the probe failed ({last})")
    return facts_of(host.name, json.loads(done.stdout))


def facts_of(name: str, seen: dict[str, Any]) -> HostFacts:
    """Turn what the probe printed into facts; a ledger from a newer aiplat is refused in words."""
    try:
        return HostFacts.model_validate({"host": name, "reachable": True, **seen})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        problem = f"{name}: what it has at {where} is not understood; it may be from a newer aiplat"
        return HostFacts(host=name, reachable=False, problem=problem)
