"""A plan without a step: all is well, or nobody knows."""

from __future__ import annotations

from rich.text import Text

from aiplat.actions.plan import PlanView
from aiplat.cli.run_tables import plan_table
from aiplat.plan.make import make_plan
from tests.plan.worlds import PUBLIC, facts_of, lock_of, site_of, small_catalog

AGENT = {"name": "a1", "address": "10.0.0.12", "role": "agent"}
SERVER = {"name": "s1", "address": "10.0.0.11", "role": "server"}


def said(*down: str) -> str:
    """Return what is shown of a site on which all is done, while some of its hosts are down."""
    site, lock = site_of({"hosts": [SERVER, AGENT]}), lock_of()
    gone = {name: {"reachable": False} for name in down}
    facts = facts_of(site, dict.fromkeys(("s1", "a1"), (site, lock)), gone)
    plan = make_plan(site, lock, facts, PUBLIC, small_catalog())
    assert plan.nothing_to_do
    view = PlanView(plan, lock, facts, (), assumed=False)
    assert view.document()["nothing_to_do"] is (not down)
    table = plan_table(view)
    assert isinstance(table, Text)
    return table.plain


def test_nothing_to_do_is_said_of_hosts_that_were_looked_at_alone() -> None:
    """With every host down nothing is known, and with some down the others are named."""
    assert said() == "case: nothing to do, the hosts are as the site wants them"
    assert said("a1").startswith("case: nothing to do on s1; a1 could not be looked at")
    assert said("s1", "a1").startswith("case: s1, a1 could not be looked at")
