"""The registry of steps, the playbook, the roles and what runs on hosts speak of the same steps and units."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.plan.steps import ROLE_STEPS
from tests.house.tree import ROOT, files, text
from tests.roles.conftest import load_module

PLAYS: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(ROOT / "playbooks" / "bootstrap.yml")
ROLES = [step.id for step in ROLE_STEPS]
UNITS = {step.unit for step in ROLE_STEPS if step.unit}
# What a reset looks for on a host.
REMAINS = "roles/aiplat_modules/module_utils/host_remains.py"


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


def test_a_reset_knows_the_same_units() -> None:
    """It works without a ledger and without the site, and names the units itself."""
    reset = text("roles/host_reset/library/host_reset.py") + text(REMAINS)
    assert {unit for unit in UNITS if f'"{unit}"' in reset and f'"/{unit}"' in reset} == UNITS


@pytest.mark.parametrize("step", [s for s in ROLE_STEPS if s.unit], ids=lambda s: s.unit)
def test_a_unit_is_named_in_the_registry_and_by_its_role_alone(step: Any) -> None:
    """Everything else is given the name, but a reset; a unit's file may say after which it starts."""
    named = {name for name in _sources() if re.search(rf"(?<![\w-]){re.escape(step.unit)}\b", text(name))}
    own = ("aiplat/plan/steps.py", f"roles/{step.id}/", "roles/host_reset/", REMAINS)
    assert [
        name for name in sorted(named) if not name.startswith(own) and not _says_after(name, step.unit)
    ] == []


@pytest.mark.parametrize("role", ROLES)
def test_the_ledger_is_told_of_everything_that_a_role_writes(role: str) -> None:
    """What it is not told of shows no drift; a unit starts with files that are written."""
    files, dirs, links = (_written(role, part) for part in ("files", "dirs", "links"))
    told = next(task["ledger"] for task in _tasks(role) if "ledger" in task)
    assert _paths(told.get("files")) == {path for path in files if not path.startswith("/run/")}
    assert _paths(told.get("links")) == links
    assert _paths(told.get("dirs")) <= dirs
    assert _paths(_vars(role).get(f"{role}_start_files")) <= files


@pytest.mark.parametrize("role", ROLES)
def test_a_reset_removes_everything_that_a_role_writes(role: str) -> None:
    """Also where the ledger is lost: by a path, or by a folder that goes with all that is in it."""
    reset = load_module("host_reset/library/host_reset.py")
    gone = {*reset.FILES, *reset.PARENTS, str(reset.STATE)}
    written = {path for part in ("files", "dirs", "links") for path in _written(role, part)}
    trees = (*reset.TREES, "/run/aiplat")
    assert {
        p for p in written - gone if not p.startswith(tuple(f"{tree}/" for tree in trees)) and p not in trees
    } == set()


def _sources() -> list[str]:
    names = [*files("aiplat/*.py"), *files("roles/*"), *files("playbooks/*"), *files("charts/*.y*ml")]
    return [name for name in names if not name.endswith("README.md")]


def _says_after(name: str, unit: str) -> bool:
    """Whether a file has a unit's name only where another unit starts after it, or in a module's example."""
    lines = [line for line in text(name).splitlines() if unit in line]
    return all(
        line.startswith("After=") or line.lstrip().startswith("systemd_unit: {name:") for line in lines
    )


def _tasks(role: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(text(f"roles/{role}/tasks/main.yml"))
    return tasks


def _vars(role: str) -> dict[str, Any]:
    path = ROOT / "roles" / role / "vars" / "main.yml"
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(path) if path.is_file() else {}
    return found


def _written(role: str, part: str) -> set[str]:
    """Return the paths that a role has `host_files` write, without those that a site chooses."""
    given = [task["host_files"].get(part, ()) for task in _tasks(role) if "host_files" in task]
    return _paths(
        [entry["path"] if isinstance(entry, dict) else entry for entries in given for entry in entries]
    )


def _paths(said: Any) -> set[str]:
    """Return the paths in a list, or in an expression that makes one."""
    if isinstance(said, str):
        return set(re.findall(r"'(/[^']*)'", said))
    return {path for path in said or () if path.startswith("/")}
