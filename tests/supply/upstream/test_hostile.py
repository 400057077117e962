"""Whatever an upstream answers, it is an artifact or a finding; never an error of ours."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError
from aiplat.supply.oci import blob_path
from aiplat.supply.upstream.fetcher import Fetcher
from aiplat.supply.upstream.helm import HelmCharts
from aiplat.supply.upstream.huggingface import HuggingFaceModels
from aiplat.supply.upstream.images import RegistryImages
from aiplat.supply.upstream.ollama import OllamaModels
from tests.upstreams import faults
from tests.upstreams.images import chart, gguf, image, multi_arch, safetensors
from tests.upstreams.orders import Desk
from tests.upstreams.server import Upstreams

_TEXTS = ("", "x", "../../x", "sha256:" + "0" * 64)
JUNK: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**30, *_TEXTS, [], {}, [1], [None], {"x": 1}, [[]], [{}])
ROUNDS = 60
Changed = Iterator[tuple[str, Any]]


def changed(document: Any, seed: int) -> Changed:
    """Yield the same document with one node after the other exchanged or taken away, by chance."""
    chance = random.Random(seed)  # noqa: S311 - which node is exchanged is not a secret
    for _ in range(ROUNDS):
        other = copy.deepcopy(document)
        places = list(_places(other))
        holder, key = chance.choice(places)
        if chance.random() < 0.2:
            del holder[key]
        else:
            holder[key] = chance.choice(JUNK)
        yield json.dumps([str(key), str(holder)[:60]]), other


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(pairs):
        yield node, key
        yield from _places(value)


def tried(
    desk: Desk, fetcher: Fetcher, how: dict[str, Any], documents: Changed, serve: Callable[[Any], object]
) -> int:
    """Ask for an artifact with each of the documents served; return how many were refused."""
    refused = 0
    for what, document in documents:
        serve(document)
        refused += _refused(desk, fetcher, how, what)
    return refused


def _refused(desk: Desk, fetcher: Fetcher, how: dict[str, Any], what: str) -> bool:
    try:
        fetcher.pin(desk.order(how, "registry.example.org/a/b"))
    except AiplatError as error:
        if all(finding.where and finding.problem for finding in error.findings):
            return True
    except Exception as error:
        raise AssertionError(what) from error
    return False


@pytest.mark.parametrize("kind", ["index", "manifest", "config"])
def test_images(kind: str, net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """Indexes, manifests and configs with anything anywhere."""
    layout = tmp_path / "up"
    digest = multi_arch(layout) if kind == "index" else image(layout)["digest"]
    registry = net.registry("reg.example.org")
    registry.push("a/b", "1.0", layout, digest)
    document = json.loads(blob_path(layout, digest).read_bytes())
    config = blob_path(layout, document.get("config", {}).get("digest", ""))

    def serve(changed_document: Any) -> None:
        if kind == "config":
            body = json.dumps(changed_document).encode()
            described = {**document["config"], "digest": registry.push_blob(body), "size": len(body)}
            registry.push_manifest("a/b", "1.0", {**document, "config": described})
        else:
            registry.push_manifest("a/b", "1.0", changed_document, document["mediaType"])

    whole = json.loads(config.read_bytes()) if kind == "config" else document
    how = {"image": {"reference": "reg.example.org/a/b"}}
    refused = tried(desk, RegistryImages(), how, changed(whole, 1), serve)
    assert 0 < refused < ROUNDS


def test_charts(net: Upstreams, desk: Desk) -> None:
    """Indexes of repositories with anything anywhere."""
    repository = net.helm("charts.example.org")
    repository.publish("server", "1.0", chart(version="1.0"))
    whole = copy.deepcopy(repository.index)
    how = {"helm": {"repository": "https://charts.example.org", "chart": "server"}}

    def serve(document: Any) -> None:
        repository.index = document

    assert 0 < tried(desk, HelmCharts(), how, changed(whole, 2), serve) < ROUNDS


def test_models_of_ollama(net: Upstreams, desk: Desk) -> None:
    """Manifests with anything anywhere."""
    ollama = net.ollama()
    ollama.publish("library/tiny", "1.0", {"model": gguf(), "template": b"x"})
    whole = json.loads(ollama.manifests["library/tiny", "1.0"])

    def serve(document: Any) -> None:
        ollama.manifests["library/tiny", "1.0"] = json.dumps(document).encode()

    how = {"ollama": {"name": "library/tiny"}}
    assert 0 < tried(desk, OllamaModels(), how, changed(whole, 3), serve) < ROUNDS


@pytest.mark.parametrize(
    "text",
    ["[]", "1", '{"auths": 1}', '{"auths": {"docker.io": []}}', '{"credHelpers": {"docker.io": "none"}}'],
)
def test_files_of_log_ins(text: str, net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """What says nothing of a registry is passed over."""
    (tmp_path / "nobody").mkdir()
    (tmp_path / "nobody/config.json").write_text(text)
    layout = tmp_path / "up"
    net.docker_hub().push("library/busybox", "1.0", layout, multi_arch(layout))
    assert RegistryImages().pin(desk.order({"image": {"reference": "busybox"}})).size > 0


@pytest.mark.parametrize("what", ["description", "shards"])
def test_models_of_the_hub(what: str, net: Upstreams, desk: Desk) -> None:
    """Descriptions and indexes of shards with anything anywhere."""
    hub = net.huggingface()
    files = {"config.json": b"{}", "a.safetensors": safetensors(2)}
    index = {"metadata": {"total_size": 8}, "weight_map": {"t0": "a.safetensors", "t1": "a.safetensors"}}
    hub.publish("owner/little", {**files, "model.safetensors.index.json": json.dumps(index).encode()})
    siblings = [
        {
            "rfilename": n,
            "size": len(d),
            "lfs": {"sha256": sha256_bytes(d)[7:], "size": len(d), "pointerSize": 1},
        }
        for n, d in files.items()
    ]
    info = {"id": "owner/little", "sha": hub.commit("owner/little"), "siblings": siblings}

    def serve(document: Any) -> None:
        net.faults.clear()
        if what == "shards":
            hub.publish(
                "owner/little", {**files, "model.safetensors.index.json": json.dumps(document).encode()}
            )
        else:
            net.fault("huggingface.co", "/api/", faults.replaced(json.dumps(document).encode()))

    how = {"huggingface": {"repository": "owner/little", "revision": "main"}}
    documents = changed(index if what == "shards" else info, 4)
    assert 0 < tried(desk, HuggingFaceModels(), how, documents, serve) < ROUNDS
