"""What a plan says of its hosts: blockers and warnings of the checks, and what a site accepts of them."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.hosts.facts import HostLook
from aiplat.plan.models import Facts, HostFacts
from aiplat.plan.preconditions import judge_hosts, troubles
from aiplat.site.models import Site
from tests.hosts.worlds import WELL, changed


def site(**host: Any) -> Site:
    """Return a site of one server with these further keys."""
    server = {"name": "s1", "address": "10.0.0.11", "role": "server", **host}
    return Site.model_validate(
        {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "desk", "hosts": [server]}
    )


def facts(**change: Any) -> Facts:
    """Return the facts of a server that is well but for these."""
    look = HostLook.model_validate(changed(WELL, change))
    return Facts(hosts=(HostFacts(host="s1", reachable=True, look=look),))


def test_blockers_and_warnings_are_told_and_notes_are_not() -> None:
    """Notes are for who asks the doctor."""
    seen = facts(leftover_chains=3, ufw_enabled=True, swap_mib=100)
    assert [(t.check, t.severity) for t in troubles(site(), seen)] == [
        ("leftover-rules", "blocker"),
        ("ufw", "warning"),
    ]


def test_what_the_plan_refuses_by_itself_is_said_once() -> None:
    """The other site's ledger is the plan's own matter, with words of its own."""
    assert troubles(site(), facts(owner="ward-9")) == ()


def test_what_the_site_accepts_does_not_hold_it_up() -> None:
    """A name under `accept` turns a blocker into a note; one that is not a check is a warning."""
    seen = facts(leftover_chains=3)
    assert troubles(site(accept=["leftover-rules"]), seen) == ()
    assert [t.check for t in troubles(site(accept=["no-such"]), seen)] == ["leftover-rules", "accepted-known"]


@pytest.mark.parametrize("key", ["podCIDR", "serviceCIDR"])
def test_networks_are_those_of_the_site(key: str) -> None:
    """What a site chooses is what must be free."""
    routes = [*WELL["routes"], {"to": "10.200.0.0/16", "link": "enp1s0"}]
    wanted = site().model_copy(
        update={"cluster": type(site().cluster).model_validate({key: "10.200.0.0/16"})}
    )
    (trouble,) = troubles(wanted, facts(routes=routes))
    assert trouble.check == "networks-free"
    assert key in trouble.cause


def test_hosts_that_nobody_looked_at_are_not_judged() -> None:
    """A lab that is not up yet has nothing to be said about."""
    assert judge_hosts(site(), Facts(hosts=(HostFacts(host="s1", reachable=True),))) == ()
