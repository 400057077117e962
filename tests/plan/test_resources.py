"""What engines of a site are given: the chart's own for small models, what is needed for others."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.components import CatalogModel, Component
from aiplat.plan.fitting import given


def catalogued(name: str) -> tuple[Component, CatalogModel]:
    """Return a model of the catalogue with its engine."""
    engine, model = load_catalog().component("ollama"), load_catalog().model(name, "ollama")
    assert engine
    assert model
    return engine, model


def memory_of(resources: dict[str, Any], kind: str) -> int:
    """Return MiB."""
    return int(resources[kind]["memory"].removesuffix("Mi"))


def test_small_models_keep_what_the_chart_has() -> None:
    """The smallest need less than the chart's own limit."""
    assert given(*catalogued("gemma3:270m")) is None


@pytest.mark.parametrize(("name", "least"), [("gemma3:4b", 5000), ("qwen3:8b", 5600), ("gpt-oss:20b", 13000)])
def test_larger_models_get_what_they_need(name: str, least: int) -> None:
    """What is needed is asked for, and a fifth more may be taken before the engine is ended."""
    resources = given(*catalogued(name))
    assert resources
    assert memory_of(resources, "requests") >= least
    assert memory_of(resources, "limits") >= 1.2 * memory_of(resources, "requests")
