"""Every role is a product: its argument spec says what the Python models give it, no more and no less."""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from aiplat.plan.role_variables import ROLES, RoleVariables
from aiplat.shipped import shipped

TYPES = {str: "str", int: "int", bool: "bool", dict: "dict", tuple: "list"}
# Set by a role for people who run it by hand; the plan has no opinion on them.
OWN = {
    "host_reboot": {"seconds"},
    "host_prepare": {"modules", "sysctls"},
    "k3s_server": {"start_seconds", "ready_seconds"},
    "k3s_agent": {"start_seconds", "ready_seconds"},
}
ALWAYS = {"site", "inputs"}
# Roles that put things on hosts or take them off are told where those are.
MANAGED = {"host_prepare", "host_gpu", "site_registry", "k3s_server", "k3s_agent", "host_reset"}
# They take away, so there is nothing to record.
UNDOING = {"host_reset", "cluster_reset", "node_drain", "node_forget"}
by_role = pytest.mark.parametrize("model", ROLES, ids=lambda model: model.role)


def document(role: str, name: str) -> Any:
    """Return one YAML file of a role."""
    return YAML(typ="safe").load(shipped("roles") / role / name)


def options(role: str) -> dict[str, Any]:
    """Return a role's options without the role's name in front."""
    found = document(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return {name.removeprefix(f"{role}_"): spec for name, spec in found.items()}


def kind(annotation: Any) -> str:
    """Return a field's type in the words of argument specs."""
    plain = get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
    if get_origin(plain) is Literal:
        return "str"
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        return "dict"
    if isinstance(plain, UnionType):
        plain = next(part for part in get_args(plain) if part is not type(None))
    return TYPES[get_origin(plain) or plain]


def compare(fields: dict[str, FieldInfo], specs: dict[str, Any]) -> None:
    """Compare fields with options: type, need and what is inside lists of models."""
    for name, field in fields.items():
        spec = specs[name]
        assert spec["type"] == kind(field.annotation), name
        assert spec.get("required", False) == field.is_required(), name
        inner = (get_args(field.annotation) or (field.annotation,))[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            assert set(spec["options"]) == set(inner.model_fields), name
            compare(inner.model_fields, spec["options"])


@by_role
def test_the_spec_is_the_model(model: type[RoleVariables]) -> None:
    """Names, types and needs agree, also inside lists."""
    more = {name.removeprefix(f"{model.role}_") for name in model.secrets}
    more |= {"managed"} if model.role in MANAGED else set()
    specs = options(model.role)
    assert set(specs) == set(model.model_fields) | ALWAYS | more | OWN.get(model.role, set())
    compare(model.model_fields, specs)


@by_role
def test_every_option_that_is_not_required_has_its_default(model: type[RoleVariables]) -> None:
    """A role runs by hand with what its spec requires alone, and both say the same default."""
    defaults = document(model.role, "defaults/main.yml")
    for name, spec in options(model.role).items():
        if not spec.get("required"):
            assert f"{model.role}_{name}" in defaults
            assert spec.get("default", defaults[f"{model.role}_{name}"]) == defaults[f"{model.role}_{name}"]


@by_role
def test_defaults_of_model_and_role_agree(model: type[RoleVariables]) -> None:
    """What Python leaves out means the same as what a person leaves out."""
    defaults = document(model.role, "defaults/main.yml")
    for name, field in model.model_fields.items():
        if not field.is_required():
            expected = list(field.default) if isinstance(field.default, tuple) else field.default
            assert defaults[f"{model.role}_{name}"] == expected


@by_role
def test_every_option_is_described(model: type[RoleVariables]) -> None:
    """A spec is what people read."""
    assert [name for name, spec in options(model.role).items() if not spec.get("description")] == []


@by_role
def test_a_role_has_all_its_parts(model: type[RoleVariables]) -> None:
    """Tasks, spec, defaults and a README; the last task writes the ledger, but for those that undo."""
    folder: Path = shipped("roles") / model.role
    for part in ("tasks/main.yml", "meta/argument_specs.yml", "defaults/main.yml", "README.md"):
        assert (folder / part).is_file(), part
    if model.role not in UNDOING:
        assert "ledger" in document(model.role, "tasks/main.yml")[-1]


def test_secrets_are_in_tasks_that_hide_them() -> None:
    """A task that names a secret variable does not show what it was given."""
    for model in ROLES:
        for task in document(model.role, "tasks/main.yml"):
            text = str(task)
            if any(name in text for name in model.secrets) or "config_text" in text:
                assert task.get("no_log") is True, task["name"]
