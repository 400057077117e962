"""`aiplat doctor gpu`: what is wrong with hosts' GPUs and what would be done; looks, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiplat.actions.gpu_facts import NO_GPU, judgement_of
from aiplat.fleet.gpus import GpuFacts, gather_gpu_facts
from aiplat.gpu.decision import Decision
from aiplat.gpu.judge import Judgement
from aiplat.plan.gpus import decision_on
from aiplat.site.machines import see_hosts
from aiplat.site.models import Site


@dataclass(frozen=True)
class HostVerdict:
    """One host and the judgement on its GPUs."""

    host: str
    judgement: Judgement
    looked_at: bool = True
    decision: Decision | None = None

    @property
    def good(self) -> bool:
        """Whether the host is well, or has no GPU that could be ill."""
        return self.judgement.is_healthy or self.judgement.verdict == NO_GPU

    def as_json(self) -> dict[str, Any]:
        """Return it as part of a JSON document."""
        decided = {"decision": self.decision.as_json()} if self.decision else {}
        return {"host": self.host, **self.judgement.as_json(), **decided}


def judge_site(site: Site) -> tuple[HostVerdict, ...]:
    """Look at every host of a site and judge it.

    Raises:
        BadInput: it has no hosts.
    """
    see_hosts(site, "GPUs are that cluster's matter; what it offers: kubectl describe nodes")
    return tuple(_verdict(seen) for seen in gather_gpu_facts(site))


def _verdict(seen: GpuFacts) -> HostVerdict:
    judgement = judgement_of(seen)
    decision = None if seen.problem else decision_on(judgement.verdict, seen.facts)
    return HostVerdict(seen.host, judgement, not seen.problem, decision)
