"""The module registry_content: the storage serves the lock, no more and no less."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.roles.conftest import RunModule

MODULE = "aiplat_modules/library/registry_content.py"
STORAGE = "var/lib/aiplat/registry/docker/registry/v2"


def stage(root: Path, content: bytes) -> str:
    """Stage a blob and return its digest."""
    name = hashlib.sha256(content).hexdigest()
    path = root / "var/lib/aiplat/blobs/sha256" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"sha256:{name}"


def stage_image(root: Path, text: str) -> str:
    """Stage an image of one layer and return its manifest's digest."""
    config, layer = stage(root, f"config {text}".encode()), stage(root, f"layer {text}".encode())
    manifest = {"schemaVersion": 2, "config": {"digest": config}, "layers": [{"digest": layer}]}
    return stage(root, json.dumps(manifest).encode())


def entry(manifest: str, repository: str = "ollama/ollama", tag: str = "1.0") -> dict[str, str]:
    """Return one entry of the content."""
    return {"repository": repository, "tag": tag, "manifest": manifest}


def files(root: Path) -> set[str]:
    """Return the names of all files in the storage."""
    storage = root / STORAGE
    return {str(path.relative_to(storage)) for path in storage.rglob("*") if path.is_file()}


@pytest.fixture
def publish(tmp_path: Path, run_module: RunModule) -> Any:
    """Return a function that publishes content below the test's root."""
    return lambda *content: run_module(MODULE, root=str(tmp_path), content=list(content))


def test_an_image_is_in_distributions_layout(tmp_path: Path, publish: Any) -> None:
    """Tag, revision, layers and data are where the registry looks for them."""
    manifest = stage_image(tmp_path, "a")
    publish(entry(manifest))
    name = manifest.removeprefix("sha256:")
    repository = tmp_path / STORAGE / "repositories/ollama/ollama"
    assert (repository / "_manifests/tags/1.0/current/link").read_text() == manifest
    assert (repository / f"_manifests/revisions/sha256/{name}/link").read_text() == manifest
    assert len(list((repository / "_layers/sha256").iterdir())) == 3
    data = tmp_path / STORAGE / f"blobs/sha256/{name[:2]}/{name}/data"
    assert data.stat().st_ino == (tmp_path / "var/lib/aiplat/blobs/sha256" / name).stat().st_ino


def test_the_same_content_again_changes_nothing(tmp_path: Path, publish: Any) -> None:
    """Honest changed."""
    content = entry(stage_image(tmp_path, "a"))
    assert publish(content)["changed"]
    assert not publish(content)["changed"]


def test_what_the_lock_no_longer_has_goes(tmp_path: Path, publish: Any) -> None:
    """After an upgrade nothing of the old image is served, and the new one is whole."""
    old, new = stage_image(tmp_path, "old"), stage_image(tmp_path, "new")
    publish(entry(old))
    result = publish(entry(new))
    assert result["removed"] > 0
    assert old.removeprefix("sha256:") not in " ".join(files(tmp_path))
    publish()
    assert files(tmp_path) == set()


def test_an_index_brings_its_children(tmp_path: Path, publish: Any) -> None:
    """All manifests that an index names can be asked for."""
    child = stage_image(tmp_path, "amd64")
    index = stage(tmp_path, json.dumps({"schemaVersion": 2, "manifests": [{"digest": child}]}).encode())
    publish(entry(index))
    revisions = tmp_path / STORAGE / "repositories/ollama/ollama/_manifests/revisions/sha256"
    assert {path.name for path in revisions.iterdir()} == {d.removeprefix("sha256:") for d in (index, child)}


def test_images_for_others_are_left_out_of_an_index(tmp_path: Path, publish: Any) -> None:
    """An upstream's index names images that nobody here runs: it is served as it is, they are not."""
    child, other = stage_image(tmp_path, "amd64"), "sha256:" + "0" * 64
    index = stage(tmp_path, json.dumps({"manifests": [{"digest": child}, {"digest": other}]}).encode())
    document = json.loads((tmp_path / "var/lib/aiplat/blobs/sha256" / child[7:]).read_bytes())
    blobs = [index, child, document["config"]["digest"], document["layers"][0]["digest"]]
    assert publish({**entry(index), "blobs": blobs})["changed"]
    revisions = tmp_path / STORAGE / "repositories/ollama/ollama/_manifests/revisions/sha256"
    assert {path.name for path in revisions.iterdir()} == {index[7:], child[7:]}
    assert not publish({**entry(index), "blobs": blobs})["changed"]


def test_an_image_that_the_lock_has_must_be_staged(tmp_path: Path, publish: Any) -> None:
    """Left out is only what the lock leaves out: a hole in the rest is named."""
    lost = "sha256:" + "0" * 64
    index = stage(tmp_path, json.dumps({"manifests": [{"digest": lost}]}).encode())
    assert f"blob {lost} is not staged" in publish({**entry(index), "blobs": [index, lost]})["msg"]


def test_two_artifacts_of_one_name_are_refused(tmp_path: Path, publish: Any) -> None:
    """Mirrors drop the registry's host, so two upstreams may clash; it is said before anything is written."""
    one, two = stage_image(tmp_path, "1"), stage_image(tmp_path, "2")
    assert "two artifacts are called ollama/ollama:1.0" in publish(entry(one), entry(two))["msg"]
    assert not (tmp_path / STORAGE).exists()


def test_a_layer_that_is_not_staged_is_named(tmp_path: Path, publish: Any) -> None:
    """An image with a hole is never published."""
    missing = "sha256:" + "0" * 64
    manifest = stage(tmp_path, json.dumps({"layers": [{"digest": missing}]}).encode())
    assert f"blob {missing} is not staged" in publish(entry(manifest))["msg"]


def test_a_link_left_half_written_is_put_right(tmp_path: Path, publish: Any) -> None:
    """A run that was killed in the middle is made good by the next."""
    manifest = stage_image(tmp_path, "a")
    publish(entry(manifest))
    link = tmp_path / STORAGE / "repositories/ollama/ollama/_manifests/tags/1.0/current/link"
    link.write_text("sha256:")
    link.with_name("link.part").write_text("x")
    assert publish(entry(manifest))["added"] == 1
    assert link.read_text() == manifest
    assert not link.with_name("link.part").exists()
