"""The models of the catalogue agree with each other, with their engines and with what `fit` knows."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from aiplat.catalog.catalog import load_catalog, read_catalog
from aiplat.catalog.components import CatalogModel, Component
from aiplat.errors import AiplatError
from aiplat.fit.architecture import parameters
from aiplat.fit.known_models import find_architecture
from aiplat.fit.quantisation import find_quantisation
from aiplat.plan.model_choice import parameters_of
from aiplat.plan.model_offers import model_needs

CATALOG = load_catalog()
MODELS = CATALOG.models
EVERY = pytest.mark.parametrize(
    ("component", "model"), MODELS, ids=[f"{component.name}-{model.name}" for component, model in MODELS]
)
# Weights by chance have no shape that anybody else knows.
REAL = [(component, model) for component, model in MODELS if not model.lab_only]
KNOWN = pytest.mark.parametrize(
    ("component", "model"), REAL, ids=[f"{component.name}-{model.name}" for component, model in REAL]
)
# What is free for any use without conditions beyond its notices.
FREE = {"Apache-2.0", "MIT"}


def test_there_is_enough_to_choose_from() -> None:
    """Families, sizes from a phone's to a server's, and each use."""
    real = [model for _, model in MODELS if not model.lab_only]
    assert len({model.name for model in real}) > 50
    families = {model.name.partition(":")[0] for model in real}
    talk = "llama3.1 llama3.2 llama3.3 qwen3 qwen3.5 gemma3 phi3 phi4 mistral ministral-3 gpt-oss granite3.3"
    think_and_code = "deepseek-r1 deepseek-coder qwen2.5-coder smollm2"
    search = "nomic-embed-text bge-m3 multilingual-e5-large all-minilm"
    assert {*talk.split(), *think_and_code.split(), *search.split()} <= families


@KNOWN
def test_a_model_has_the_shape_that_fit_knows(component: Component, model: CatalogModel) -> None:
    """Its size is that of the shape, its context is no longer, and what it needs can be computed."""
    arch = find_architecture(model.shape or model.name)
    assert arch
    # What sees or is counted with its output beside the embedding has some more than the language part.
    assert parameters(arch) == pytest.approx(parameters_of(model), rel=0.15)
    assert model.context_length
    assert model.context_length <= arch.max_ctx
    needs = model_needs(component, model)
    assert needs
    assert 0 < needs.weights < needs.total


@EVERY
def test_a_model_is_stored_in_a_form_its_engine_reads(component: Component, model: CatalogModel) -> None:
    """GGUF for llama.cpp and Ollama, checkpoints for vLLM."""
    assert component.engine
    checkpoint = component.engine.run.weights.form == "huggingface"
    assert find_quantisation(model.quantisation, checkpoint=checkpoint)
    checkpoints = {"BF16", "F16", "F32", "FP8", "AWQ", "MXFP4"}
    assert (
        model.quantisation in checkpoints if checkpoint else model.quantisation not in {"FP8", "AWQ", "BF16"}
    )


@EVERY
def test_a_model_says_what_it_does_and_under_which_licence(component: Component, model: CatalogModel) -> None:
    """Features of its engine, a sentence, and for a licence of its maker's own what that asks."""
    assert component.engine
    assert bool(model.features) is not model.adapter
    assert set(model.features) <= set(component.engine.features)
    assert model.purpose.endswith(".")
    assert model.tag
    assert model.licence.url.startswith("https://")
    if model.licence.spdx not in FREE:
        assert model.licence.name
        assert model.licence.conditions


def test_a_name_or_alias_means_one_model_an_engine_and_supply() -> None:
    """Only where another supply has it may a name stand for other weights."""
    for supply in ("packages", "upstream"):
        meant: dict[tuple[str, str], set[str]] = defaultdict(set)
        for component, model in MODELS:
            if getattr(model.artifact, supply):
                for name in (model.name, *model.aliases):
                    meant[component.name, name].add(model.name)
        assert {key: names for key, names in meant.items() if len(names) > 1} == {}


def test_no_two_models_are_one_artifact() -> None:
    """Bundles know weights by repository and tag."""
    artifacts = [(model.artifact.name, model.tag) for _, model in MODELS]
    assert len(artifacts) == len(set(artifacts))


@EVERY
def test_a_model_comes_from_somewhere(component: Component, model: CatalogModel) -> None:
    """From Ollama's registry under its own name, a hub's repository and revision, or a package."""
    how = model.artifact.upstream
    assert how or model.artifact.packages
    if how and how.huggingface:
        assert how.huggingface.repository.count("/") == 1
        assert how.huggingface.revision
        assert model.artifact.name == f"huggingface.co/{how.huggingface.repository.lower()}"
    elif how:
        assert how.ollama
        assert model.artifact.name == f"registry.ollama.ai/library/{model.name.partition(':')[0]}"


@pytest.mark.parametrize(
    ("asked", "real", "stand_in"),
    [
        ("phi3", "phi3:3.8b", "phi3:stand-in-gemma3-270m-base"),
        ("llama3.1", "llama3.1:8b", "llama3.1:stand-in-smollm2-135m"),
        ("deepseek-r1", "deepseek-r1:8b", "deepseek-r1:stand-in-smollm2-135m"),
    ],
)
def test_names_without_a_tag_mean_the_real_model_and_its_stand_in_in_labs(
    asked: str, real: str, stand_in: str
) -> None:
    """A stand-in is for labs alone, says what it is not, and never stands in where the model can be had."""
    assert CATALOG.model(asked, "ollama").name == real  # type: ignore[union-attr] # it is there
    assert CATALOG.model(asked, "ollama", "upstream").name == real  # type: ignore[union-attr]
    small = CATALOG.model(asked, "ollama", "packages")
    assert small
    assert (small.name, small.lab_only) == (stand_in, True)
    assert small.purpose.startswith("Not ")


def test_what_no_engine_runs_is_named_with_what_it_needs() -> None:
    """Rerankers and speech are known, and a site cannot serve them."""
    later = {name for model in CATALOG.models_later for name in (model.name, *model.aliases)}
    assert {"bge-reranker-v2-m3", "whisper"} <= later
    assert not later & {name for _, model in MODELS for name in (model.name, *model.aliases)}
    assert all(model.needs and model.source.startswith("https://") for model in CATALOG.models_later)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: 3", "gemma.yaml has no list `models`"),
        (
            "models: [{name: a, licence: mine}]",
            "gemma.yaml: a has the licence 'mine', which licences.yaml lacks",
        ),
        ("models: [", "this is not YAML"),
    ],
)
def test_a_broken_file_of_models_is_named(tmp_path: Path, text: str, said: str) -> None:
    """By its component and its own name."""
    folder = tmp_path / "model" / "engine" / "models"
    folder.mkdir(parents=True)
    (folder / "gemma.yaml").write_text(text)
    (folder.parent / "component.yaml").write_text("kind: Component\n")
    with pytest.raises(AiplatError, match=r"model/engine/component\.yaml") as caught:
        read_catalog(tmp_path)
    assert said in str(caught.value)
