"""Each engine of the catalogue that can be built serves a Model in the lab."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiplat.supply.oci import blob_path, read_json
from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]
ENGINES = ("ollama", "llama-cpp")
QUESTION = {"role": "user", "content": "Name the capital of Italy."}


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """One host with both engines and a Model of each."""
    journey = make_journey("engines")
    journey.bootstrap()
    for engine in ENGINES:
        words = ("--site", str(journey.site_file), "--from", "smollm2:135m", "--engine", engine)
        journey.aiplat("model", "deploy", f"small-{engine}", *words, "--timeout", "600")
    return journey


def answered(journey: Journey, model: str) -> dict[str, Any]:
    """Return what a model answers to the question."""
    body = {"model": model, "messages": [QUESTION], "temperature": 0, "seed": 1, "max_tokens": 24}
    with journey.platform() as client:
        answer = client.post("chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_of_each_engine_answers_a_chat(ward: Journey, engine: str) -> None:
    """The same weights, one conversation, through the gateway."""
    answer = answered(ward, f"small-{engine}")
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["usage"]["completion_tokens"]


def test_llama_cpp_answers_an_embedding(ward: Journey) -> None:
    """A vector of the model's width."""
    with ward.platform() as client:
        answer = client.post("embeddings", json={"model": "small-llama-cpp", "input": "a winter evening"})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"][0]["embedding"]) == 576


def test_a_path_that_an_engine_does_not_have_is_refused_by_name(ward: Journey) -> None:
    """llama.cpp has nothing of Ollama's API."""
    with ward.platform() as client:
        address = str(client.base_url).removesuffix("/v1/") + "/api/chat"
        answer = client.post(address, json={"model": "small-llama-cpp", "messages": [QUESTION]})
    assert answer.status_code == 400
    assert "served by llama-cpp" in answer.text


@pytest.fixture(scope="module")
def house(ward: Journey, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The same site with weights of its own: those of the catalogue's model, in a folder beside its file."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "notes").mkdir()
    weights_of(ward, folder / "notes" / "notes.gguf")
    (folder / "notes" / "README.md").write_text("# Notes of the house\n")
    own = "".join(
        f"  - {{name: 'house-{engine}:1b', engine: {engine}, from: ./notes, licence: Apache-2.0}}\n"
        for engine in ENGINES
    )
    (folder / "site.yaml").write_text(ward.site_file.read_text() + own)
    changed = replace(ward, site_file=folder / "site.yaml")
    changed.bootstrap()
    return changed


def weights_of(ward: Journey, target: Path) -> None:
    """Write the GGUF of the model that the bundle holds as one file."""
    lock = json.loads((ward.bundle() / "bundle.json").read_text())["lock"]
    models = [a for a in lock["artifacts"] if (a["kind"], a["component"]) == ("model", "llama-cpp")]
    for layer in read_json(ward.bundle(), models[0]["digest"])["layers"]:
        with tarfile.open(blob_path(ward.bundle(), layer["digest"])) as tar:
            stream = tar.extractfile("model.gguf")
            assert stream
            target.write_bytes(stream.read())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_of_the_sites_own_answers_a_chat(house: Journey, engine: str) -> None:
    """A folder that site.yaml names is served like a model of the catalogue."""
    assert answered(house, f"house-{engine}:1b")["choices"][0]["message"]["content"].strip()


def test_every_model_of_the_bundle_has_a_card(house: Journey) -> None:
    """Those of the catalogue and the site's own, each with source, licence and the result of its scan."""
    document = json.loads(house.aiplat("bundle", "models", str(house.site_file), "--json").stdout)
    cards = {card["name"]: card for card in document["models"]}
    assert set(cards) == {"smollm2:135m", *(f"house-{engine}:1b" for engine in ENGINES)}
    assert all(card["source"] and card["scan"]["scanner"] == "picklescan" for card in cards.values())
    assert cards["house-llama-cpp:1b"]["readme"] == "# Notes of the house\n"
    assert cards["house-llama-cpp:1b"]["architecture"] == "llama"
