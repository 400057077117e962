"""The registry of steps, the playbook, the roles and what runs on hosts speak of the same steps and units."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.fleet.remote import probe_host
from aiplat.plan.steps import ROLE_STEPS
from tests.house.tree import ROOT, text

PLAYS: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(ROOT / "playbooks" / "bootstrap.yml")
UNITS = {step.unit for step in ROLE_STEPS if step.unit}


def test_the_playbook_has_the_steps_in_their_order() -> None:
    """Each play is named after its step and runs on the hosts that need it."""
    steps = [step.id for step in ROLE_STEPS]
    assert [play["name"] for play in PLAYS if play["name"] in steps] == steps
    assert {f"step_{step}" for step in steps} <= {play["hosts"] for play in PLAYS}


@pytest.mark.parametrize("step", ROLE_STEPS, ids=lambda s: s.id)
def test_a_step_is_a_role(step: Any) -> None:
    """Its role has its name; a unit that it runs is among the role's templates."""
    role = ROOT / "roles" / step.id
    assert (role / "tasks" / "main.yml").is_file()
    templates = {path.stem for path in role.glob("templates/*.service.j2")}
    assert templates == ({step.unit} if step.unit else set())


def test_what_runs_on_hosts_knows_the_same_units() -> None:
    """The probe and the reset are sent to hosts without the rest, and name the units themselves."""
    assert set(probe_host.UNITS) == UNITS
    reset = text("roles/host_reset/library/host_reset.py") + text(
        "roles/host_reset/module_utils/host_remains.py"
    )
    assert {unit for unit in UNITS if f'"{unit}"' in reset and f'"/{unit}"' in reset} == UNITS
