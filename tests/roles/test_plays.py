"""The plays of a run are named as its plan names their steps."""

from __future__ import annotations

from aiplat.plan.steps import ROLE_STEPS
from aiplat.shipped import shipped_root


def test_every_play_of_bootstrap_is_named_after_its_steps_group() -> None:
    """The plan's step ids are the plays' names, and a play's group is that step's."""
    lines = (shipped_root() / "playbooks/bootstrap.yml").read_text().splitlines()
    names = [line.removeprefix("- name: ") for line in lines if line.startswith("- name: ")]
    groups = [line.removeprefix("  hosts: step_") for line in lines if line.startswith("  hosts: ")]
    settings = [line for line in lines if line == "  max_fail_percentage: 0"]
    assert len(settings) == len(names)
    assert names == groups == [step.id for step in ROLE_STEPS]
