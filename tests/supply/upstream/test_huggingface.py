"""Snapshots of the Hugging Face hub: one commit, weights that are safe to load, nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiplat.errors import AiplatError
from aiplat.supply.contract import Supplied
from aiplat.supply.oci import read_json
from aiplat.supply.scan import scanned
from aiplat.supply.upstream.huggingface import HuggingFaceModels
from tests.own.test_scan import EVIL
from tests.supply.upstream.test_ollama import contents
from tests.upstreams.images import gguf, safetensors
from tests.upstreams.orders import Desk, http
from tests.upstreams.server import Upstreams

MODELS = HuggingFaceModels()
REPOSITORY = "owner/little"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": safetensors(),
    "pytorch_model.bin": b"pickle",
    "modeling_little.py": b"import os",
    "README.md": b"# Little",
    "onnx/config.json": b"{}",
}


def how(revision: str, **more: Any) -> dict[str, Any]:
    """Return the recipe of the model."""
    return {"huggingface": {"repository": REPOSITORY, "revision": revision, **more}}


def test_a_snapshot_is_the_root_of_its_image(net: Upstreams, desk: Desk) -> None:
    """Config, tokenizer and safetensors; neither pickles nor code come along."""
    commit = net.huggingface().publish(REPOSITORY, FILES)
    order = desk.order(how("main"))
    pin = MODELS.pin(order)
    assert pin.source == f"https://huggingface.co/{REPOSITORY}@{commit}"
    made, layout = desk.get(MODELS, order, pin)
    assert set(contents(layout, made)) == {"config.json", "tokenizer.json", "model.safetensors"}
    config = read_json(layout, read_json(layout, made.manifest)["config"]["digest"])
    assert config["config"]["Labels"]["org.opencontainers.image.revision"] == commit


def test_a_pickle_under_another_name_is_found_in_what_came(net: Upstreams, desk: Desk) -> None:
    """Models of the hub are scanned as a site's own are: by content, before a bundle is made of them."""
    net.huggingface().publish(REPOSITORY, {**FILES, "tokenizer.model": EVIL})
    order = desk.order(how("main"))
    made, layout = desk.get(MODELS, order)
    artifact = order.artifact.model_copy(update={"digest": made.manifest})
    with pytest.raises(AiplatError, match=r"tokenizer\.model is a pickle that runs posix\.system"):
        scanned(Supplied(artifact, layout), ("gguf", "safetensors", "pickle"))


def test_only_what_is_small_is_read_to_pin_it(net: Upstreams, desk: Desk) -> None:
    """The hub has digests of large files."""
    net.huggingface().publish(REPOSITORY, FILES)
    MODELS.pin(desk.order(how("main")))
    assert not [path for path in net.asked("huggingface.co") if path.endswith(".safetensors")]


def test_the_commit_counts_not_the_branch(net: Upstreams, desk: Desk) -> None:
    """After `main` moved on, what was locked is refused or comes, but never becomes another."""
    hub = net.huggingface()
    hub.publish(REPOSITORY, FILES)
    order = desk.order(how("main"))
    pin = MODELS.pin(order)
    hub.publish(REPOSITORY, {**FILES, "config.json": b"{}"})
    with pytest.raises(AiplatError, match="has no such revision"):
        desk.get(MODELS, order, pin)


def test_one_gguf_among_many_is_named(net: Upstreams, desk: Desk) -> None:
    """A pattern chooses the quantisation."""
    net.huggingface().publish(REPOSITORY, {f"little-{q}.gguf": gguf() for q in ("Q4_K_M", "Q8_0")})
    made, layout = desk.get(MODELS, desk.order(how("main", files=["*Q4_K_M.gguf"])))
    assert set(contents(layout, made)) == {"model.gguf"}


def test_a_gguf_in_pieces_is_one_model(net: Upstreams, desk: Desk) -> None:
    """All pieces come."""
    pieces = {f"little-Q8_0-0000{n}-of-00002.gguf": gguf(4096 + n) for n in (1, 2)}
    net.huggingface().publish(REPOSITORY, pieces)
    made, layout = desk.get(MODELS, desk.order(how("main", files=["*.gguf"])))
    assert set(contents(layout, made)) == set(pieces)


def test_shards_that_the_index_names_come_all(net: Upstreams, desk: Desk) -> None:
    """And the index with them."""
    shards = {f"model-0000{n}-of-00002.safetensors": safetensors(n) for n in (1, 2)}
    index = {"weight_map": {f"t{n}": name for n, name in enumerate(shards)}}
    files = {**shards, "model.safetensors.index.json": json.dumps(index).encode(), "config.json": b"{}"}
    net.huggingface().publish(REPOSITORY, files)
    made, layout = desk.get(MODELS, desk.order(how("main")))
    assert set(contents(layout, made)) == set(files)


def test_a_token_opens_a_gated_model(net: Upstreams, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_TOKEN, as its own tools read it; the store that files come from never sees it."""
    hub = net.huggingface()
    hub.publish(REPOSITORY, FILES)
    hub.gated.add(REPOSITORY)
    hub.tokens.add("hf_made")
    monkeypatch.setenv("HF_TOKEN", "hf_made")
    desk.get(MODELS, desk.order(how("main")))
    assert not [r for r in net.seen if r.host == hub.store and "authorization" in r.headers]


def test_a_mirror_is_named_by_hf_endpoint(
    net: Upstreams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for its own tools."""
    net.huggingface("hub.example.org").publish(REPOSITORY, FILES)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org/")
    pin = MODELS.pin(Desk(tmp_path, http(net)).order(how("main")))
    assert pin.source.startswith("https://hub.example.org/owner/little@")


def test_a_configuration_that_has_code_run_is_refused(net: Upstreams, desk: Desk) -> None:
    """Nothing of the repository is run on a site, so what asks for it is not fetched."""
    asks = json.dumps({"auto_map": {"AutoModelForCausalLM": "modeling_little.Little"}}).encode()
    net.huggingface().publish(REPOSITORY, {**FILES, "config.json": asks})
    with pytest.raises(
        AiplatError, match=r"config.json asks for code of its own to be run \(`auto_map`\); take"
    ):
        MODELS.pin(desk.order(how("main")))
