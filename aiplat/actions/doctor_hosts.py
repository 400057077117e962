"""`aiplat doctor hosts`: which preconditions hosts do not meet; looks and judges, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiplat.fleet.probe import gather_facts
from aiplat.hosts.check import CHECKS
from aiplat.hosts.judge import Verdict
from aiplat.plan.models import Facts
from aiplat.plan.preconditions import judge_hosts
from aiplat.site.machines import see_hosts
from aiplat.site.models import Site


@dataclass(frozen=True)
class HostsReport:
    """What the checks said of a site's hosts."""

    site: str
    verdicts: tuple[Verdict, ...]
    facts: Facts

    @property
    def good(self) -> bool:
        """Whether nothing needs doing on any host."""
        return all(verdict.good for verdict in self.verdicts)

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "apiVersion": "aiplat.dev/v1alpha1",
            "kind": "HostsReport",
            "site": self.site,
            "ok": self.good,
            "checks": len(CHECKS),
            "hosts": [_host(verdict) for verdict in self.verdicts],
        }


def _host(verdict: Verdict) -> dict[str, Any]:
    troubles = [
        {"check": t.check, "severity": t.severity, "cause": t.cause, "fix": t.fix} for t in verdict.troubles
    ]
    return {
        "host": verdict.host,
        "ok": verdict.good,
        "troubles": troubles,
        "met": list(verdict.met),
        "unseen": list(verdict.unseen),
    }


def examine(site: Site) -> HostsReport:
    """Look at every host of a site, one call each and side by side, and ask all checks.

    Raises:
        BadInput: it has no hosts.
    """
    see_hosts(site, "look at the cluster: aiplat doctor cluster")
    facts = gather_facts(site, thorough=True)
    return HostsReport(site.name, judge_hosts(site, facts), facts)
