"""The registry of steps, the playbook, the roles and what runs on hosts speak of the same steps and units."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.plan.steps import ROLE_STEPS, all_managed
from tests.house.tree import ROOT, files, text
from tests.roles.conftest import load_module

PLAYS: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(ROOT / "playbooks" / "bootstrap.yml")
REGISTRY = "aiplat/plan/steps.py"
MANAGED = all_managed()
# Where any k3s has its files, and what looks there for one that is not aiplat's, or works with it.
K3S_PLACES = {"/usr/local/bin/k3s", "/etc/rancher/k3s/config.yaml"}
FOREIGN_K3S = {
    "aiplat/fleet/remote/look_machine.py",
    "aiplat/fleet/remote/probe_host.py",
    "aiplat/hosts/checks/others.py",
    "roles/aiplat_modules/module_utils/aiplat_host.py",
}


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
    assert len(templates) == bool(step.unit)


@pytest.mark.parametrize("step", [s for s in ROLE_STEPS if s.unit], ids=lambda s: s.unit)
def test_a_unit_is_named_in_the_registry_alone(step: Any) -> None:
    """Everything else is given the name; a unit's file may say after which it starts."""
    name = re.compile(rf"(?<![\w-]){re.escape(step.unit)}\b")
    named = {
        source
        for source in _sources()
        for line in text(source).splitlines()
        if name.search(line) and not line.startswith("After=")
    }
    assert named == {REGISTRY}


@pytest.mark.parametrize("path", [*MANAGED["files"], *MANAGED["links"]])
def test_a_managed_path_stands_in_the_registry_alone(path: str) -> None:
    """Roles and what runs on hosts are given it; only what looks for another k3s knows k3s' places."""
    name = re.compile(rf"(?<![\w/]){re.escape(path)}(?![\w./])")
    named = {source for source in _sources() if name.search(text(source))} - {REGISTRY}
    assert named <= (FOREIGN_K3S if path in K3S_PLACES else set())


@pytest.mark.parametrize("step", [s for s in ROLE_STEPS if s.all_files], ids=lambda s: s.id)
def test_a_role_writes_what_the_registry_says(step: Any) -> None:
    """By the names it is given; the ledger is told of all of it, else it shows no drift."""
    tasks = _tasks(step.id)
    written = [task["host_files"] for task in tasks if "host_files" in task]
    files = {name for given in written for entry in given.get("files", ()) for name in _names(entry["path"])}
    dirs = {name for given in written for entry in given.get("dirs", ()) for name in _names(entry["path"])}
    assert (files, dirs) == (set(step.all_files), set(step.dirs) | (dirs - set(step.dirs)))
    assert [given["links"] for given in written if "links" in given] == (
        [f"{{{{ {step.id}_managed.links }}}}"] if step.links else []
    )
    told = next(task["ledger"] for task in tasks if "ledger" in task)
    assert f"{step.id}_managed.files.values()" in told["files"]
    assert bool(step.unit) == ("units" in told)


def test_a_reset_removes_every_managed_folder() -> None:
    """With all that is in it, or when it is empty; also where the ledger is lost."""
    reset = load_module("host_reset/library/host_reset.py")
    assert set(MANAGED["dirs"]) <= {*reset.TREES, *reset.PARENTS, str(reset.STATE)}


def _sources() -> list[str]:
    names = [*files("aiplat/*.py"), *files("roles/*"), *files("playbooks/*"), *files("charts/*.y*ml")]
    return [name for name in names if not name.endswith("README.md")]


def _tasks(role: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(text(f"roles/{role}/tasks/main.yml"))
    return tasks


def _names(path: str) -> list[str]:
    """Return by which names of the registry a path of a role's task is given."""
    return re.findall(r"_managed\.(?:files|dirs)\.(\w+)", path)
