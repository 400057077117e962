"""A reset of an existing cluster takes out what this site put there, and nobody else's platform."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.actions.guest_look import see_free
from aiplat.actions.reset_guest import _plan, _programs, see_own
from aiplat.cluster.look import _is_ours as is_ours
from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError, BadInput
from aiplat.fleet.lease import LeaseError
from aiplat.plan.guest_plan import guest_refusals, guest_warnings
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import Ledger, LedgerStep, ManagedFile
from aiplat.state import programs_dir
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


def installed(**files: bytes) -> Ledger:
    """What is recorded of an installation by these programs."""
    known = {
        f"/state/programs/{name}": ManagedFile(sha256=sha256_bytes(text).removeprefix("sha256:"), mode="0755")
        for name, text in files.items()
    }
    return Ledger(site="ward-3", cluster="uid-1", steps={"plane_release": LedgerStep(files=known)})


def test_nothing_of_the_bundle_is_needed_where_what_installed_is_here() -> None:
    """Helm and kubectl are those that the ledger knows: the bundle and the lock may be gone."""
    for name, text in (("helm", b"h"), ("k3s", b"k")):
        programs_dir("ward-3").mkdir(exist_ok=True)
        (programs_dir("ward-3") / name).write_bytes(text)
    role = _programs(site(supply="bundle:/gone"), facts(installed(helm=b"h", k3s=b"k"), **THERE))
    assert (role.helm, role.kubectl) == (sha256_bytes(b"h"), sha256_bytes(b"k"))


@pytest.mark.parametrize("known", [{"helm": b"h"}, {"helm": b"other", "k3s": b"k"}], ids=["lacks", "differs"])
def test_programs_that_are_not_as_recorded_are_not_run(known: dict[str, bytes]) -> None:
    """They come from the bundle then, and it is said where there is none."""
    programs_dir("ward-3").mkdir(exist_ok=True)
    for name in ("helm", "k3s"):
        (programs_dir("ward-3") / name).write_bytes(name[:1].encode())
    with pytest.raises(AiplatError, match="/gone"):
        _programs(site(supply="bundle:/gone"), facts(installed(**known), **THERE))


def test_a_cluster_that_another_machine_changes_is_left_alone() -> None:
    """Before anything else is judged: who holds it is named; a plan only says so."""
    held = facts(**THERE).model_copy(update={"other_run": "is being changed by run r-1 (ann@desk)"})
    with pytest.raises(LeaseError, match=r"changed by run r-1 \(ann@desk\); wait until it ends"):
        see_free(held)
    see_free(facts())
    assert "run r-1" in guest_warnings(held)[0].problem
