"""Refuses a site in an existing cluster where machines of its own are asked for."""

from __future__ import annotations

from aiplat.errors import BadInput, Finding
from aiplat.site.models import Site


def see_hosts(site: Site, fix: str) -> None:
    """Stop where a site has no hosts; `fix` is what to do instead.

    Raises:
        BadInput: its cluster is one that aiplat did not make.
    """
    if site.is_guest:
        problem = "is in a cluster that aiplat did not make, and has no hosts"
        raise BadInput(Finding(f"site {site.name}", problem, fix))
