"""Gathers what hosts' own tools say of their GPUs, one call each; judging it belongs in aiplat.gpu."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.fleet.answers import last_line
from aiplat.fleet.probe import MAX_PARALLEL, REMOTE, last_document
from aiplat.fleet.side_by_side import of_each
from aiplat.fleet.ssh import HostError, run_on
from aiplat.frozen import Frozen
from aiplat.gpu.facts import Fact, facts_of
from aiplat.hosts.paths import paths_of
from aiplat.site.models import Host, Site

# A hung card makes several of the commands run into their limit.
PROBE_SECONDS = 400


@dataclass(frozen=True)
class GpuFacts:
    """What was seen on one host; `problem` is a sentence where nothing could be seen.

    `k3s` is where the host has k3s' data.
    """

    host: str
    has_gpu: bool
    facts: tuple[Fact, ...]
    problem: str = ""
    k3s: str = paths_of(None).k3s


class _Seen(Frozen):
    """What the probe prints."""

    has_gpu: bool
    facts: dict[str, str]


def gather_gpu_facts(site: Site) -> tuple[GpuFacts, ...]:
    """Look at all hosts of a site side by side; one that cannot be reached is reported, not raised."""
    return tuple(of_each(site.hosts, lambda host: gpu_facts(site, host), MAX_PARALLEL))


def gpu_facts(site: Site, host: Host) -> GpuFacts:
    """Return what one host's tools say, from a single ssh call."""
    script = (REMOTE / "probe_gpu.py").read_bytes()
    try:
        done = run_on(site, host, ["python3", "-"], stdin=script, timeout=PROBE_SECONDS)
    except HostError as error:
        return GpuFacts(host.name, False, (), str(error.findings[0]))
    if done.code != 0:
        last = last_line(done.stderr, f"exit code {done.code}")
        return GpuFacts(host.name, False, (), f"{host.name}: the probe failed ({last})")
    try:
        seen = _Seen.model_validate(last_document(done.stdout))
    except ValueError:
        return GpuFacts(host.name, False, (), f"{host.name}: the probe's answer is not understood")
    return GpuFacts(host.name, seen.has_gpu, facts_of(seen.facts), k3s=paths_of(host.data_dir).k3s)
