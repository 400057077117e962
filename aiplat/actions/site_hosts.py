"""A site's hosts as they are seen, and whether they are a lab's."""

from __future__ import annotations

from aiplat.actions.gpu_facts import gather_with_gpus
from aiplat.lab import lab_status
from aiplat.plan.models import Facts, HostFacts
from aiplat.shipped import shipped
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.state import lab_dir

BUILT_IN_LABS = ("lab", "lab-agents")


def is_built_in_lab(site: Site) -> bool:
    """Whether the site's hosts are those of a lab site that aiplat ships."""
    if site.name not in BUILT_IN_LABS:
        return False
    return load_site(shipped(f"inventory/{site.name}/site.yaml")).hosts == site.hosts


def is_lab(site: Site) -> bool:
    """Whether the site's hosts are made on this machine: a built-in lab, or one that `aiplat lab up` made."""
    return is_built_in_lab(site) or lab_dir(site.name).exists()


def host_facts(site: Site) -> tuple[Facts, bool]:
    """Return the hosts' facts, and whether they are assumed because the lab is not up yet."""
    # What another user's lab of that name left on this machine is not a host of this one.
    if is_lab(site) and not lab_status(site.name).hosts:
        return Facts(hosts=tuple(_fresh(host.name, site.name) for host in site.hosts)), True
    return gather_with_gpus(site), False


def _fresh(host: str, lab: str) -> HostFacts:
    """Return the facts of a lab host as `aiplat lab up` makes it, with nothing installed."""
    return HostFacts(
        host=host,
        reachable=True,
        arch="x86_64",
        x86_64_level=3,
        disk_free_mib=1 << 20,
        is_root=True,
        lab=lab,
        default_route=True,
    )
