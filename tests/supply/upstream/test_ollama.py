"""Models of Ollama's registry become images that hold Ollama's own store."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from aiplat.catalog.components import CatalogModel
from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError, BadInput
from aiplat.supply.contract import Made
from aiplat.supply.oci import LAYER, blob_path, read_json
from aiplat.supply.upstream.ollama import OllamaModels
from aiplat.supply.upstream.references import model_name
from tests.upstreams.images import gguf
from tests.upstreams.orders import Desk, http, names, reached
from tests.upstreams.server import Upstreams

MODELS = OllamaModels()
NAME = "registry.ollama.ai/library/gemma3"
WEIGHTS = gguf(3 << 20)


def catalogued(name: str = "gemma3:270m", *aliases: str) -> CatalogModel:
    """Return a model of the catalogue."""
    document = {
        "name": name,
        "aliases": list(aliases),
        "purpose": "Tests.",
        "licence": {"spdx": "MIT"},
        "artifact": {"kind": "model", "name": NAME, "version": {"from": "model"}},
    }
    return CatalogModel.model_validate(document)


def contents(layout: Path, made: Made) -> dict[str, bytes]:
    """Return the files that a host sees where the image is mounted."""
    found: dict[str, bytes] = {}
    for layer in read_json(layout, made.manifest)["layers"]:
        assert layer["mediaType"] == LAYER
        with tarfile.open(blob_path(layout, layer["digest"])) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                if stream:
                    assert member.mode == 0o644
                    found[member.name] = stream.read()
    return found


def test_the_image_is_ollamas_store_under_all_names(net: Upstreams, desk: Desk) -> None:
    """Manifests byte for byte as they were served, blobs under their digests."""
    ollama = net.ollama()
    layers = {"model": WEIGHTS, "template": b"{{ .Prompt }}", "license": b"Gemma terms", "params": b"{}"}
    digest = ollama.publish("library/gemma3", "270m", layers)
    order = desk.order({"ollama": {}}, NAME, "270m", catalogued("gemma3:270m", "gemma3", "owner/little:1"))
    pin = MODELS.pin(order)
    assert (pin.digest, pin.source, pin.blobs) == (digest, f"{NAME}:270m", ())
    assert pin.size > len(WEIGHTS)
    made, layout = desk.get(MODELS, order, pin)
    files = contents(layout, made)
    served = ollama.manifests["library/gemma3", "270m"]
    manifests = {name: data for name, data in files.items() if name.startswith("manifests/")}
    assert manifests == {
        "manifests/registry.ollama.ai/library/gemma3/270m": served,
        "manifests/registry.ollama.ai/library/gemma3/latest": served,
        "manifests/registry.ollama.ai/owner/little/1": served,
    }
    blobs = {name: data for name, data in files.items() if name.startswith("blobs/")}
    assert len(blobs) == 5
    assert all(f"blobs/{sha256_bytes(data).replace(':', '-')}" == name for name, data in blobs.items())


def test_weights_are_a_layer_of_their_own(net: Upstreams, desk: Desk) -> None:
    """A new template moves a few kilobytes; nothing is kept beside the image."""
    ollama = net.ollama()
    ollama.publish("library/gemma3", "270m", {"model": WEIGHTS, "template": b"one"})
    order = desk.order({"ollama": {}}, NAME, "270m", catalogued())
    made, layout = desk.get(MODELS, order)
    first = [layer["digest"] for layer in read_json(layout, made.manifest)["layers"]]
    assert names(layout) == reached(layout, made)
    assert list(desk.kept.iterdir()) == []
    ollama.publish("library/gemma3", "270m", {"model": WEIGHTS, "template": b"two"})
    made, layout = desk.get(MODELS, order)
    second = [layer["digest"] for layer in read_json(layout, made.manifest)["layers"]]
    assert (len(first), first[0] == second[0], first[1] == second[1]) == (2, True, False)


def test_the_same_model_gives_the_same_image(net: Upstreams, desk: Desk) -> None:
    """Whoever fetches it, whenever."""
    net.ollama().publish("library/gemma3", "270m", {"model": WEIGHTS})
    order = desk.order({"ollama": {}}, NAME, "270m", catalogued())
    assert desk.get(MODELS, order)[0] == desk.get(MODELS, order)[0]


def test_mixed_sites_share_the_layers(net: Upstreams, tmp_path: Path) -> None:
    """Each architecture has its manifest, and the weights are there once."""
    net.ollama().publish("library/gemma3", "270m", {"model": WEIGHTS})
    desk = Desk(tmp_path, http(net), ("amd64", "arm64"))
    made, layout = desk.get(MODELS, desk.order({"ollama": {}}, NAME, "270m", catalogued()))
    index = read_json(layout, made.manifest)
    images = [read_json(layout, child["digest"]) for child in index["manifests"]]
    assert [child["platform"]["architecture"] for child in index["manifests"]] == ["amd64", "arm64"]
    assert images[0]["layers"] == images[1]["layers"]
    assert [read_json(layout, i["config"]["digest"])["architecture"] for i in images] == ["amd64", "arm64"]


def test_another_host_speaks_the_same_protocol(net: Upstreams, desk: Desk) -> None:
    """The Hugging Face hub serves GGUF files that way."""
    net.ollama("hf.co").publish("owner/model", "Q4_K_M", {"model": WEIGHTS})
    order = desk.order({"ollama": {"name": "hf.co/owner/model"}}, NAME, "Q4_K_M", catalogued())
    made, layout = desk.get(MODELS, order)
    assert "manifests/hf.co/owner/model/Q4_K_M" in contents(layout, made)


def test_a_moved_tag_is_refused_with_both_digests(net: Upstreams, desk: Desk) -> None:
    """The registry serves tags only: what is locked cannot be asked for by digest."""
    ollama = net.ollama()
    old = ollama.publish("library/gemma3", "270m", {"model": WEIGHTS})
    order = desk.order({"ollama": {}}, NAME, "270m", catalogued())
    pin = MODELS.pin(order)
    new = ollama.publish("library/gemma3", "270m", {"model": gguf()})
    with pytest.raises(AiplatError, match=f"upstream has {new} now, but {old} is locked"):
        desk.get(MODELS, order, pin)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("gemma3", "registry.ollama.ai/library/gemma3/latest"),
        ("gemma3:270m", "registry.ollama.ai/library/gemma3/270m"),
        ("owner/little:1", "registry.ollama.ai/owner/little/1"),
        ("hf.co/owner/model:Q4_K_M", "hf.co/owner/model/Q4_K_M"),
        ("localhost:5000/owner/model", "localhost:5000/owner/model/latest"),
    ],
)
def test_a_name_means_what_it_means_to_ollama(text: str, path: str) -> None:
    """Host, namespace and tag have their usual values where they are left out."""
    assert model_name(text).path == f"manifests/{path}"


@pytest.mark.parametrize("text", ["", "a/b/c/d", "../x", "a:b:c", "owner/../x", "a b", "x:"])
def test_what_is_no_name_is_refused(text: str) -> None:
    """Names become paths: none leads out of the store."""
    with pytest.raises(BadInput, match="is not a model's name"):
        model_name(text)
