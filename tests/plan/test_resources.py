"""What engines of a site are given: what was computed, or what the site says."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.components import CatalogModel, Component
from aiplat.catalog.resolve import undeliverable
from aiplat.plan.fitting import fitted
from aiplat.plan.releases import releases_of
from aiplat.services.operator.bundle import Computed
from aiplat.site.models import ComponentSetting
from tests.plan.test_golden import SITE, steady_lock
from tests.plan.worlds import PUBLIC


def catalogued(name: str) -> tuple[Component, CatalogModel]:
    """Return a model of the catalogue with its engine."""
    engine, model = load_catalog().component("ollama"), load_catalog().model(name, "ollama")
    assert engine
    assert model
    return engine, model


@pytest.mark.parametrize(("name", "least"), [("gemma3:4b", 5000), ("qwen3:8b", 5600), ("gpt-oss:20b", 13000)])
def test_larger_models_get_what_they_need(name: str, least: int) -> None:
    """What is needed is asked for, and a quarter more may be taken before the engine is ended."""
    computed = Computed.model_validate(fitted(*catalogued(name)))
    given = computed.resources(computed.tokens)
    assert int(str(given.requests["memory"]).removesuffix("Mi")) >= least
    assert int(str(given.limits["memory"]).removesuffix("Mi")) >= 1.25 * least
    assert "cpu" not in given.limits


def test_an_engine_that_reserves_memory_is_told_how_much() -> None:
    """Weights and processes, and whole gibibytes for the tokens of all its requests; of GPUs it says both."""
    engine = load_catalog().component("vllm")
    assert engine
    _, model = catalogued("llama3.2:3b")
    computed = Computed.model_validate(fitted(engine, model.model_copy(update={"quantisation": "BF16"})))
    assert computed.reserves
    assert computed.cache_gib(8192) == 1
    assert computed.cache_gib(8 * 4096) == 4
    more = computed.memory_mib + 4 * 1024
    assert computed.resources(8 * 4096).requests["memory"] == f"{more}Mi"
    assert computed.gpu
    assert 6 << 30 < computed.gpu.bytes_for(4096) < 10 << 30


def values_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the operator's release where the site says this of Ollama."""
    site = SITE.model_copy(update={"planes": {"model": {"ollama": ComponentSetting(values=values)}}})
    releases = releases_of(site, steady_lock(), load_catalog(), PUBLIC.identities)
    found: dict[str, Any] = YAML(typ="safe").load(next(r.values for r in releases if r.name == "operator"))
    return found


def test_what_a_site_says_of_an_engine_reaches_its_pods() -> None:
    """Settings, defaults, and resources, which then replace what was computed; the rest stays."""
    said = {"keepAlive": "5m", "parallel": 4, "resources": {"limits": {"cpu": "1"}}}
    values = values_of(said)
    engine = values["engines"]["ollama"]
    assert engine["run"]["settings"]["keepAlive"]["default"] == "5m"
    assert (engine["parallel"], engine["contextLength"]) == (4, 4096)
    assert engine["resources"]["limits"] == {"memory": "2Gi", "cpu": "1"}
    assert {m["fit"] for m in values["models"]} == {None}
    assert all(m["fit"] for m in values_of({})["models"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"keepAlve": "5m"}, '.keepAlve: ollama has no such value; did you mean "keepAlive"?'),
        ({"models": []}, ".models: ollama has no such value; write them under `models` of the site"),
        ({"keepAlive": "soon"}, ".keepAlive: 'soon' does not match"),
        ({"parallel": 0}, ": parallel: input should be greater than 0"),
        ({"resources": {"limit": {}}}, ": resources.limit: is not a key"),
        ({"keepAlive": {"fromSecret": "hub"}}, ".keepAlive: is not a secret"),
    ],
)
def test_what_an_engine_does_not_have_is_refused_by_name(values: dict[str, Any], said: str) -> None:
    """Before anything is changed, with what to write instead."""
    site = SITE.model_copy(update={"planes": {"model": {"ollama": ComponentSetting(values=values)}}})
    found = [str(finding) for finding in undeliverable(site)]
    assert any(f"planes.model.ollama.values{said}" in finding for finding in found), found
