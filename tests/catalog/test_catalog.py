"""The shipped catalogue holds together, and a broken one says where."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from aiplat.catalog.catalog import load_catalog, read_catalog
from aiplat.catalog.engines import EngineRun
from aiplat.catalog.version_sources import FromSystem
from aiplat.catalog.versions import version_of
from aiplat.errors import AiplatError
from aiplat.site.known import known_names
from aiplat.site.models import PLANES

CATALOG = load_catalog()


def test_every_plane_is_there_in_order() -> None:
    """All eleven planes have their file, in the order of the whole picture."""
    assert tuple(p.name for p in CATALOG.planes) == PLANES
    assert [p.order for p in CATALOG.planes] == list(range(1, 12))


@pytest.mark.parametrize("component", CATALOG.components, ids=lambda c: c.name)
def test_a_component_stands_in_its_plane(component: object) -> None:
    """Name and plane in component.yaml are those of its folder."""
    found = next(c for c in CATALOG.components if c is component)
    assert (found.plane, found.name) == found.folder.parts[-2:]


def test_what_components_require_is_there() -> None:
    """Nothing requires a component that does not exist, or one that is installed after it."""
    by_name = {c.name: c for c in CATALOG.components}
    for component in CATALOG.components:
        for required in component.requires.components:
            assert required in by_name, f"{component.name} requires {required}"
            assert by_name[required].order <= component.order, f"{required} comes after {component.name}"


def test_no_name_means_two_things() -> None:
    """Components, planned ones and artifacts each have a name of their own."""
    components = [c.name for c in CATALOG.components]
    planned = [p.name for plane in CATALOG.planes for p in plane.planned]
    artifacts = [(a.kind, a.name) for c in CATALOG.components for a in c.artifacts]
    for names in (components, planned, artifacts):
        assert len(names) == len(set(names))


def test_every_artifact_has_a_version() -> None:
    """The owner of each version has it; packages of hosts have the versions of the hosts' systems."""
    for component in CATALOG.components:
        for recipe in component.artifacts:
            assert isinstance(recipe.version, FromSystem) or version_of(component, recipe)
    for component, model in CATALOG.models:
        assert version_of(component, model.artifact, model) == model.tag


def test_a_site_may_name_the_engines_of_the_catalogue() -> None:
    """Those that are on by default come first, and the image of each is an artifact of its component."""
    assert known_names().engines == tuple(c.name for c in CATALOG.engines)
    assert CATALOG.engines[0].default == "on"
    for component in CATALOG.engines:
        assert component.engine
        assert component.engine.image in {a.name for a in component.artifacts if a.kind == "image"}
        assert component.engine.run.health.ready


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": ["serve", "{modle}"]}, "unknown placeholders: modle"),
        ({"adapters": {"each": ["--lora", "{model}"]}}, "unknown placeholders: model"),
        ({"health": {"started": {}, "ready": {"path": "/"}, "live": {"path": "/"}}}, "exactly one of path"),
        ({"surprise": 1}, "extra inputs"),
    ],
)
def test_an_engine_that_is_described_wrongly_is_refused(change: dict[str, object], said: str) -> None:
    """By the key that is wrong, before anything is made of it."""
    run = CATALOG.engines[0].engine.run.model_dump(by_alias=True)  # type: ignore[union-attr] # it is one
    with pytest.raises(ValidationError) as caught:
        EngineRun.model_validate({**run, **change})
    assert said in str(caught.value).lower()


def test_no_model_claims_what_its_engine_cannot_do() -> None:
    """A feature that the engine does not have is refused with the model's name."""
    llama = next(c for c in CATALOG.components if c.name == "llama-cpp")
    document = llama.model_dump(by_alias=True, mode="json")
    assert type(llama).model_validate(document).models
    document["models"][0]["features"] += ["vision", "tools"]
    with pytest.raises(ValidationError, match=r"the engine does not have: \S+: tools, vision"):
        type(llama).model_validate(document)


def test_a_planned_component_that_came_is_no_longer_planned() -> None:
    """The catalogue shows a component once."""
    for plane in CATALOG.planes:
        there = {c.name for c in CATALOG.components_of(plane.name)}
        assert not there & {p.name for p in CATALOG.planned(plane.name)}


def test_models_say_their_licence_and_its_conditions() -> None:
    """A licence that is not an open-source licence says what it asks."""
    assert CATALOG.models
    for _, model in CATALOG.models:
        assert model.licence.spdx
        assert bool(model.features) is not model.adapter
        if model.licence.spdx.startswith("LicenseRef-"):
            assert model.licence.url
            assert model.licence.conditions


def test_the_base_model_and_its_alias_are_one() -> None:
    """`gemma3:270m` is the base model under this supply."""
    assert CATALOG.model("gemma3:270m", "ollama") == CATALOG.model("gemma3:270m-base-q4_k_m", "ollama")
    assert CATALOG.model("gemma3:270m", "vllm") is None


def test_recipes_are_found_by_what_a_lock_says() -> None:
    """Supply finds component and recipe of an artifact by kind and name."""
    component, recipe = CATALOG.recipe("hostfile", "helm")
    assert (component.name, recipe.hosts) == ("helm", "server")
    with pytest.raises(KeyError, match="no component has the image nothing"):
        CATALOG.recipe("image", "nothing")


def test_a_broken_component_is_named_with_its_key(tmp_path: Path) -> None:
    """All that is wrong with component files is said at once."""
    for name, text in (("a", "kind: Component\nsurprise: 1\n"), ("b", "kind: [\n")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "component.yaml").write_text(text)
    with pytest.raises(AiplatError) as caught:
        read_catalog(tmp_path)
    said = str(caught.value)
    assert "data/a/component.yaml: surprise: is not a key that means anything here" in said
    assert "data/a/component.yaml: purpose: is missing" in said
    assert "data/b/component.yaml: this is not YAML" in said
