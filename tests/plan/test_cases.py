"""Every file in cases/ is a behaviour of make_plan and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.plan.make import make_plan
from aiplat.plan.models import Plan
from aiplat.plan.refusals import refusals
from tests.plan.worlds import HERE, PUBLIC, facts_of, lock_of, site_of, small_catalog

CASES = sorted((HERE / "cases").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_plan_is_as_the_case_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps with their reasons, restarts, bytes and refusals are what the file says."""
    case: dict[str, Any] = YAML(typ="safe").load(path)
    site, lock = site_of(case.get("site")), lock_of(case.get("lock"))
    before = case.get("before", {})
    earlier = (
        site_of({**case.get("site", {}), **before.get("site", {})}),
        lock_of(before.get("lock", case.get("lock"))),
    )
    _roles_are(monkeypatch, before.get("roles", {}), before.get("texts", {}))
    facts = facts_of(site, dict.fromkeys(case.get("installed", ()), earlier), case.get("facts", {}))
    _roles_are(monkeypatch, {}, {})

    plan = make_plan(site, lock, facts, PUBLIC, small_catalog())

    assert _lines(plan) == case["plan"], case["behaviour"]
    assert [r for step in plan.steps for r in step.restarts] == case.get("restarts", [])
    assert sum(step.bytes_to_move for step in plan.steps) >> 20 == case.get("moves_mib", 0)
    assert [str(finding) for finding in refusals(site, lock, facts)] == case.get("refused", [])


def test_a_run_cut_off_after_a_restart_does_not_restart_again() -> None:
    """What the process was started with counts, not the ledger, which the run could not write any more."""
    site, lock = site_of(), lock_of({"versions": {"k3s": "v1.36.4+k3s1"}})
    before = facts_of(site, {"s1": (site, lock_of())}, {})
    again = make_plan(site, lock, before, PUBLIC, small_catalog())
    started = {step.id: step.inputs["s1"]["start"] for step in again.steps if step.restarts}
    assert list(started) == ["k3s_server"]
    running = {"k3s.service": {"content": started["k3s_server"], "files": {"/program": "newer"}}}
    after = facts_of(site, {"s1": (site, lock_of())}, {"s1": {"running": running}})
    plan = make_plan(site, lock, after, PUBLIC, small_catalog())
    assert [step.id for step in plan.steps] == [step.id for step in again.steps]
    assert [r for step in plan.steps for r in step.restarts] == []


def test_a_rotation_is_announced_in_its_own_words() -> None:
    """Each step says what is rotated; k3s restarts, for it is started with its token."""
    site, lock = site_of(), lock_of()
    facts = facts_of(site, {"s1": (site, lock)}, {})
    rotated = dict.fromkeys(("k3s token", "api key"), "sha256:" + "9" * 64)
    said = {"secret:k3s token": "the k3s token is rotated", "secret:api key": "the API key is rotated"}
    public = replace(PUBLIC, identities={**PUBLIC.identities, **rotated}, rotations=said)
    plan = make_plan(site, lock, facts, public, small_catalog())
    reasons = {step.id: step.reason["s1"] for step in plan.steps}
    assert reasons == {
        "k3s_server": "the k3s token is rotated",
        "plane_release": "the API key is rotated",
    }
    assert [r for step in plan.steps for r in step.restarts] == ["k3s.service on s1"]


def test_every_case_says_what_it_shows() -> None:
    """A case without a sentence teaches nobody."""
    assert len(CASES) >= 15
    assert all(YAML(typ="safe").load(path)["behaviour"].endswith(".") for path in CASES)


def _roles_are(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], texts: dict[str, str]) -> None:
    """Cases say in words how roles and their texts differ; their files are not what is tested here."""
    monkeypatch.setattr("aiplat.plan.inputs.texts_digest", lambda role: texts.get(role, "now"))
    monkeypatch.setattr("aiplat.plan.inputs.role_digest", lambda role: versions.get(role, "now"))


def _lines(plan: Plan) -> list[str]:
    return [f"{step.id} {host}: {step.reason[host]}" for step in plan.steps for host in step.hosts]
