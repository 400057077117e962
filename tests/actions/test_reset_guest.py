"""A reset of an existing cluster takes out what this site put there, and nobody else's platform."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.actions.reset_guest import _plan, see_own
from aiplat.cluster.look import _is_ours as is_ours
from aiplat.errors import BadInput
from aiplat.plan.guest_plan import guest_refusals
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import Ledger
from tests.plan.test_guest_plan import facts, site

SPACES = ("aiplat-model", "red")
THERE: dict[str, Any] = {
    "namespaces": ("default", "aiplat-notes", *SPACES),
    "ours": SPACES,
    "identity": "uid-1",
}


def test_ones_own_platform_may_be_taken_out() -> None:
    """What goes is named before anybody agrees; a name that merely sounds like ours is not among it."""
    found = facts(Ledger(site="ward-3", cluster="uid-1"), **THERE)
    see_own(site(), found)
    (step,) = _plan(site(), found).steps
    said = "namespaces with all that anybody put into them, volumes too: aiplat-model, red"
    assert step.reason[OPERATOR] == said


def test_a_platform_that_is_not_recorded_here_stays() -> None:
    """It may be somebody else's."""
    with pytest.raises(BadInput, match="is not recorded here"):
        see_own(site(), facts(**THERE))
    see_own(site(), facts())  # nothing is there


@pytest.mark.parametrize(
    ("identity", "said"), [("uid-2", "in another cluster than this one"), ("", "cannot be told")]
)
def test_a_kubeconfig_that_leads_elsewhere_now_is_refused(identity: str, said: str) -> None:
    """Neither reset nor bootstrap does anything in another cluster than the one recorded."""
    found = facts(Ledger(site="ward-3", cluster="uid-1"), **{**THERE, "identity": identity})
    with pytest.raises(BadInput, match=said):
        see_own(site(), found)
    assert said in guest_refusals(site(), found)[0].problem


def test_a_namespace_that_somebody_gave_to_a_team_is_not_ours() -> None:
    """The operator's label alone makes it ours; where another set the team's label it was there before."""
    labels = {"aiplat.dev/managed-by": "operator"}
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {"f:aiplat.dev/team": {}}}}
    assert not is_ours({"metadata": {"labels": {"kubernetes.io/metadata.name": "shop"}}})
    for manager, ours in (("aiplat-operator", True), ("kubectl-label", False)):
        entries = [{"manager": manager, "fieldsV1": fields}]
        assert is_ours({"metadata": {"labels": labels, "managedFields": entries}}) is ours
