"""Blobs, manifests and tars whose bytes depend on their content alone."""

from __future__ import annotations

import tarfile
from pathlib import Path

from aiplat.content import sha256_bytes, sha256_file
from aiplat.supply.oci import (
    add_tar_image,
    blob_path,
    blobs_of,
    deterministic_tar,
    link_or_copy,
    read_json,
    write_layout,
)


def test_the_same_files_give_the_same_tar(tmp_path: Path) -> None:
    """Neither order, nor times, nor the name of the folder they come from count."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"0123")
    deterministic_tar(
        tmp_path / "a.tar", [("b/weights", tmp_path / "one/weights", 0o644), ("a", b"x", 0o755)]
    )
    deterministic_tar(
        tmp_path / "b.tar", [("a", b"x", 0o755), ("b/weights", tmp_path / "two/weights", 0o644)]
    )
    assert sha256_file(tmp_path / "a.tar") == sha256_file(tmp_path / "b.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        listed = [(m.name, m.mode, m.mtime, m.uid, m.isdir()) for m in tar]
    assert listed == [("a", 0o755, 0, 0, False), ("b", 0o755, 0, 0, True), ("b/weights", 0o644, 0, 0, False)]


def test_a_tar_image_is_a_valid_image(tmp_path: Path) -> None:
    """Manifest, config and layer name each other by digest and size."""
    deterministic_tar(tmp_path / "layer.tar", [("file", b"content", 0o644)])
    layout = tmp_path / "layout"
    manifest = add_tar_image(layout, tmp_path / "layer.tar", {"key": "value"})
    write_layout(layout, [manifest])
    document = read_json(layout, manifest["digest"])
    config = read_json(layout, document["config"]["digest"])
    assert config["rootfs"]["diff_ids"] == [document["layers"][0]["digest"]]
    assert config["config"]["Labels"] == {"key": "value"}
    for blob in blobs_of(layout, manifest["digest"]):
        content = blob_path(layout, blob.digest).read_bytes()
        assert (sha256_bytes(content), len(content)) == (blob.digest, blob.size)


def test_linking_replaces_whatever_was_there(tmp_path: Path) -> None:
    """Readers see the old content or the new; on one file system no byte is copied."""
    source, target = tmp_path / "source", tmp_path / "folder" / "target"
    source.write_bytes(b"new")
    target.parent.mkdir()
    target.write_bytes(b"old")
    link_or_copy(source, target)
    assert target.samefile(source)
    assert [p.name for p in target.parent.iterdir()] == ["target"]
