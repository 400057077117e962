"""Decides which supply a site gets and says why; what a supply does is its own module's."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.catalog.artifacts import Lock
from aiplat.site.models import Site
from aiplat.supply.contract import Supply
from aiplat.supply.packages import PackagesSupply
from aiplat.supply.upstream.supply import UpstreamSupply


@dataclass(frozen=True)
class Choice:
    """The supply and one sentence on why it is this one."""

    supply: Supply
    why: str


def choose_supply(site: Site, lock: Lock) -> Choice:
    """Return the supply that site.yaml asks for; `auto` means `packages` until `upstream` exists."""
    if site.supply == "upstream":
        return Choice(UpstreamSupply(), "upstream, because site.yaml says so")
    if site.supply == "auto":
        why = (
            "packages, because this version has no other supply: everything is built from package registries"
        )
        return Choice(PackagesSupply(lock), why)
    return Choice(PackagesSupply(lock), "packages, because site.yaml says so")
