"""Decides which supply a site gets and says why; what a supply does is its own module's."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.catalog.artifacts import Lock
from aiplat.catalog.lockfile import lock_path, read_lock
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.resolve import SupplyName
from aiplat.site.models import Site
from aiplat.supply.contract import Supply
from aiplat.supply.packages import PackagesSupply
from aiplat.supply.upstream.answering import unanswering
from aiplat.supply.upstream.supply import UpstreamSupply


@dataclass(frozen=True)
class Choice:
    """The supply's name and one sentence on why it is this one."""

    name: SupplyName
    why: str


def choose_supply(site: Site) -> Choice:
    """Return the supply that site.yaml asks for; with `auto` that of its lock, else upstream if it answers.

    Every host that is needed is asked for an answer, all at once and not for long.
    """
    if site.supply == "upstream":
        return Choice("upstream", "upstream, because site.yaml or --supply asks for it")
    if site.supply != "auto":
        return Choice("packages", "packages, because site.yaml or --supply asks for it")
    path = lock_path(site)
    if path.exists():
        name = read_lock(path).supply
        return Choice(name, f"{name}, because the site's lock says so")
    silent = unanswering(site)
    if silent:
        return Choice("packages", f"packages, because upstream does not answer: {silent}")
    return Choice("upstream", "upstream, because all of its hosts answer")


def supply_for(site: Site, lock: Lock) -> Supply:
    """Return what supplies the artifacts of a lock."""
    if lock.supply == "upstream":
        upstream = UpstreamSupply(site)
        upstream.lock = lock
        return upstream
    return PackagesSupply(lock, catalog=catalog_of(site))
