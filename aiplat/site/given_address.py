"""The address that a cluster's load balancer gave a site's gateway: its endpoint, kept in its state."""

from __future__ import annotations

from aiplat.content import write_atomic
from aiplat.site.models import Site
from aiplat.state import address_file


def awaits_address(site: Site) -> bool:
    """Whether a site's endpoint is what its cluster's load balancer gives: the file names none itself."""
    balanced = site.is_guest and site.cluster.service_type == "LoadBalancer"
    return balanced and site.cluster.endpoint in (None, _kept(site.name))


def with_address(site: Site, address: str | None) -> Site:
    """Return a site that awaits an address with this one as its endpoint; others as they are."""
    if not address or not awaits_address(site):
        return site
    return site.model_copy(update={"cluster": site.cluster.model_copy(update={"endpoint": address})})


def with_kept_address(site: Site) -> Site:
    """Return a site with the address that was kept for it as its endpoint, if it awaits one."""
    return with_address(site, _kept(site.name)) if site.is_guest else site


def keep_address(site: Site, address: str) -> Site:
    """Keep the address that a site got for the verbs to come, and return the site with it."""
    found = with_address(site, address)
    if found is not site and address != _kept(site.name):
        write_atomic(address_file(site.name), f"{address}\n".encode(), 0o600)
    return found


def _kept(site: str) -> str | None:
    path = address_file(site)
    return path.read_text(encoding="utf-8").strip() or None if path.exists() else None
