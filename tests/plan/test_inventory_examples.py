"""The example sites of inventory/: each is good, says what it is for, and is planned on bare hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.resolve import resolve
from aiplat.plan.guest_plan import GuestFacts, guest_plan, guest_refusals
from aiplat.plan.make import OPERATOR, make_plan
from aiplat.plan.models import HostFacts
from aiplat.shipped import shipped
from aiplat.site.load import load_site
from aiplat.site.models import Site
from tests.plan.test_cluster_needs import seen
from tests.plan.worlds import PUBLIC, facts_of, lock_of, small_catalog

EXAMPLES = sorted(shipped("inventory").glob("*/site.yaml"))
KINDS = {
    "lab",
    "lab-agents",
    "vagrant",
    "single-host",
    "three-hosts-one-gpu",
    "air-gapped",
    "existing-cluster",
    "kind",
}
GUESTS = [path for path in EXAMPLES if load_site(path).is_guest]
ON_HOSTS = [path for path in EXAMPLES if path not in GUESTS]


def test_there_is_an_example_of_each_kind_of_site() -> None:
    """Whoever looks for one finds it by the folder's name."""
    assert {path.parent.name for path in EXAMPLES} >= KINDS


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_is_good_and_says_what_it_is_for(path: Path) -> None:
    """`aiplat site check` finds nothing: its models, components and networks are known and agree."""
    assert path.read_text().startswith("# ")
    site = load_site(path)
    assert site.is_guest or site.hosts


@pytest.mark.parametrize("path", GUESTS, ids=lambda path: path.parent.name)
def test_an_example_is_planned_in_a_cluster_of_others(path: Path) -> None:
    """Nothing is refused in a new cluster of kind; images come from a registry, or go into its nodes."""
    site = load_site(path)
    lock = resolve(site, supply="upstream")
    there = HostFacts(host=OPERATOR, reachable=True, nodes_ready=("kind-control-plane",))
    found = GuestFacts(seen=seen(), there=there)
    plan = guest_plan(site, lock, found, PUBLIC, catalog_of(site, lock))
    assert [step.id for step in plan.steps] == ["bundle", "push", "plane_release"]
    assert guest_refusals(site, found) == []


@pytest.mark.parametrize("path", ON_HOSTS, ids=lambda path: path.parent.name)
def test_an_example_is_planned_on_bare_hosts(path: Path) -> None:
    """Nothing is refused, every host gets what its role asks for; one small model stands for any."""
    written = load_site(path)
    asked = written.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    kept = {name: value for name, value in asked.items() if name not in ("planes", "supply", "upstream")}
    site = Site.model_validate({**kept, "models": [{"name": "tiny:1b"}]})
    plan = make_plan(site, lock_of({"lab_only": False}), facts_of(site, {}, {}), PUBLIC, small_catalog())
    hosts = {step.id: set(step.hosts) for step in plan.steps}
    assert hosts["k3s_server"] == {host.name for host in site.servers}
    assert hosts.get("k3s_agent", set()) == {host.name for host in site.agents}
