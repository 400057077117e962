"""Measures how long a plan for many hosts takes, of hosts that are bare and of hosts that have everything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from aiplat.plan.make import make_plan
from aiplat.plan.models import Facts
from aiplat.site.models import Site
from tests.plan.worlds import PUBLIC, facts_of, lock_of, site_of, small_catalog

HOSTS = 500
_TIMES = 5


@dataclass(frozen=True)
class Planned:
    """Seconds that a plan of all hosts takes, at best: bare ones, and settled ones, which need nothing."""

    bare: float
    settled: float


def _site(hosts: int) -> Site:
    server = {"name": "s1", "address": "10.0.0.11", "role": "server"}
    addresses = [f"10.1.{n // 250}.{n % 250 + 1}" for n in range(1, hosts)]
    agents = [{"name": f"a{n}", "address": address, "role": "agent"} for n, address in enumerate(addresses)]
    return site_of({"hosts": [server, *agents]})


def measure(hosts: int = HOSTS) -> Planned:
    """Plan for so many hosts several times."""
    site, lock = _site(hosts), lock_of()
    bare = facts_of(site, {}, {})
    settled = facts_of(site, {h.name: (site, lock) for h in site.hosts}, {})

    def plan(facts: Facts) -> Callable[[], object]:
        return lambda: make_plan(site, lock, facts, PUBLIC, small_catalog())

    return Planned(_best(plan(bare)), _best(plan(settled)))


def _best(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_TIMES):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def section(seen: Planned) -> str:
    """Return the section of the report."""
    return f"""\
## The planner

A plan for {HOSTS} hosts, from facts to steps with their reasons; processor time, the best of {_TIMES}.

| hosts | s | goal |
|---|---|---|
| bare | {seen.bare:.2f} | 0.50 |
| settled: nothing to do | {seen.settled:.2f} | 0.50 |
"""
