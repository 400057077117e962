"""A site's hosts as they are seen, with a verdict on the GPUs of those whose driver aiplat looks after."""

from __future__ import annotations

from aiplat.fleet.gpus import GpuFacts, gpu_facts
from aiplat.fleet.probe import MAX_PARALLEL, probe
from aiplat.fleet.side_by_side import of_each
from aiplat.gpu.host import GpuSeen, host_of
from aiplat.gpu.judge import UNKNOWN, Judgement, judge
from aiplat.gpu.signals.all import read_signals
from aiplat.plan.gpus import gets_driver
from aiplat.plan.models import Facts, HostFacts
from aiplat.site.models import Host, Site

NO_GPU = "no-gpu"


def gather_with_gpus(site: Site) -> Facts:
    """Look at all hosts of a site side by side, and at the GPUs of those that get a driver."""
    return Facts(hosts=tuple(of_each(site.hosts, lambda host: _looked_at(site, host), MAX_PARALLEL)))


def judgement_of(seen: GpuFacts) -> Judgement:
    """Return what is to be said of one host's GPUs, also where there are none or nobody could look."""
    if seen.problem:
        return Judgement(
            UNKNOWN, f"The host could not be looked at: {seen.problem}.", "Make it reachable first."
        )
    if not seen.has_gpu:
        return Judgement(
            NO_GPU, "The host has no NVIDIA GPU on its bus.", "None needed: models run on its CPU."
        )
    return judge(seen.facts, seen.k3s)


def _looked_at(site: Site, host: Host) -> HostFacts:
    facts = probe(site, host)
    if not facts.reachable or not gets_driver(site, host):
        return facts
    seen = gpu_facts(site, host)
    found = judgement_of(seen)
    gpu = GpuSeen(verdict=found.verdict, cause=found.cause, host=host_of(read_signals(seen.facts)))
    return facts.model_copy(update={"gpu": gpu})
