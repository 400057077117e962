"""Folders of components and roles are complete, so that each can be read alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.components import Component
from aiplat.catalog.inputs import source_path
from tests.house.tree import ROOT

COMPONENTS = load_catalog().components
ROLES = sorted(path.parent for path in (ROOT / "roles").glob("*/tasks"))


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
def test_a_component_explains_itself(component: Component) -> None:
    """A README of a screen, a purpose that is a sentence, a licence."""
    readme = component.folder / "README.md"
    assert readme.is_file(), f"{readme} is missing"
    assert readme.read_text().startswith("# ")
    assert component.purpose.endswith(".")
    assert component.licence.spdx


@pytest.mark.parametrize("component", [c for c in COMPONENTS if c.chart], ids=lambda c: c.name)
def test_a_release_has_a_complete_chart(component: Component) -> None:
    """Values that a schema checks, a template of the site's values, and the chart as an artifact."""
    chart = component.folder / str(component.chart)
    needed = [chart / name for name in ("Chart.yaml", "values.yaml", "values.schema.json")]
    needed += [component.folder / "values.yaml.j2"]
    assert [str(path) for path in needed if not path.is_file()] == []
    assert component.namespace
    assert any(a.kind == "chart" for a in component.artifacts)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
def test_what_recipes_name_is_there(component: Component) -> None:
    """Containerfiles, go.mod and go.sum, charts, sources and lock files of a recipe exist."""
    missing = [
        str(path)
        for artifact in (*component.artifacts, *(m.artifact for m in component.models))
        for path in _named(component, artifact.packages)
        if not path.exists()
    ]
    assert missing == []


@pytest.mark.parametrize("role", ROLES, ids=lambda r: r.name)
def test_a_role_declares_its_variables(role: Path) -> None:
    """argument_specs says what a role guarantees and what each variable means."""
    specs: dict[str, Any] = YAML(typ="safe", pure=True).load(role / "meta" / "argument_specs.yml")
    main = specs["argument_specs"]["main"]
    assert main["short_description"]
    silent = [name for name, option in main.get("options", {}).items() if not option.get("description")]
    assert silent == []


def _named(component: Component, recipe: Any) -> list[Path]:
    if recipe is None:
        return []
    own = [
        component.folder / name
        for name in (recipe.containerfile, recipe.go, recipe.chart, recipe.files)
        if name
    ]
    if recipe.go:
        own += [component.folder / recipe.go / name for name in ("go.mod", "go.sum")]
    return own + [source_path(name) for name in (recipe.script, recipe.requirements, *recipe.sources) if name]
