"""OCI blobs, manifests and image layouts as files; which artifacts a bundle holds is aiplat.bundle's."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Blob, Digest
from aiplat.content import canonical_json, parsed_json, sha256_bytes, sha256_file

Descriptor = dict[str, Any]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"


def blob_path(layout: Path, digest: Digest) -> Path:
    """Return where a layout keeps the content of `digest`, whether or not it is there."""
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def add_bytes(layout: Path, data: bytes, media_type: str) -> Descriptor:
    """Store `data` as a blob and return its descriptor."""
    digest = sha256_bytes(data)
    target = blob_path(layout, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def add_file(layout: Path, path: Path, media_type: str) -> Descriptor:
    """Move a file into the layout as a blob and return its descriptor."""
    digest = sha256_file(path)
    target = blob_path(layout, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)
    target.chmod(0o644)
    return {"mediaType": media_type, "digest": digest, "size": target.stat().st_size}


def add_manifest(
    layout: Path, config: Descriptor, layers: list[Descriptor], annotations: Mapping[str, str], **more: Any
) -> Descriptor:
    """Store an image manifest; `more` are further keys of it, such as artifactType and subject."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        **more,
        "config": config,
        "layers": layers,
        "annotations": dict(annotations),
    }
    return add_bytes(layout, canonical_json(document), MANIFEST)


def add_tar_image(
    layout: Path, tar: Path, labels: Mapping[str, str], config: Mapping[str, Any] | None = None
) -> Descriptor:
    """Move a tar file into the layout as an image of one layer and return the manifest's descriptor.

    The image says nothing about when it was made, so that the same tar gives the same digest.
    """
    return add_image(layout, [add_file(layout, tar, LAYER)], labels, config)


def add_image(
    layout: Path,
    layers: list[Descriptor],
    labels: Mapping[str, str],
    config: Mapping[str, Any] | None = None,
    platform: str = "linux/amd64",
) -> Descriptor:
    """Store the manifest and config of an image of plain tar layers that are there already."""
    system, _, architecture = platform.partition("/")
    document = {
        "architecture": architecture,
        "os": system,
        "created": "1970-01-01T00:00:00Z",
        "config": {**(config or {}), "Labels": dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z"} for _ in layers],
    }
    described = add_bytes(layout, canonical_json(document), CONFIG)
    return add_manifest(layout, described, layers, {})


def add_index(layout: Path, images: Mapping[str, Descriptor]) -> Descriptor:
    """Store an index of images by platform (`linux/arm64`) and return its descriptor."""
    named = [
        {**image, "platform": dict(zip(("os", "architecture"), platform.split("/"), strict=True))}
        for platform, image in sorted(images.items())
    ]
    return add_bytes(
        layout, canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": named}), INDEX
    )


def write_layout(layout: Path, manifests: list[Descriptor]) -> None:
    """Write the files that make a folder of blobs an OCI image layout."""
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    for name, text in layout_files(manifests).items():
        (layout / name).write_bytes(text)


def layout_files(manifests: list[Descriptor]) -> dict[str, bytes]:
    """Return the files, by name, that stand beside the blobs of an OCI image layout."""
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return {
        "oci-layout": canonical_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": canonical_json(index),
    }


def media_type_of(layout: Path, digest: Digest) -> str:
    """Return what a manifest or an index of the layout is; one need not say so: then what it names does."""
    document = read_json(layout, digest)
    return str(document.get("mediaType") or (INDEX if "manifests" in document else MANIFEST))


def read_json(layout: Path, digest: Digest) -> dict[str, Any]:
    """Return a blob that is a JSON object."""
    document: dict[str, Any] = parsed_json(blob_path(layout, digest).read_bytes())
    return document


def blobs_of(layout: Path, manifest: Digest) -> tuple[Blob, ...]:
    """Return a manifest, its config and its layers, each once; of an index, those of the images that came."""
    document = read_json(layout, manifest)
    found = {manifest: blob_path(layout, manifest).stat().st_size}
    for child in document.get("manifests", ()):
        if blob_path(layout, child["digest"]).is_file():
            found |= {blob.digest: blob.size for blob in blobs_of(layout, child["digest"])}
    if "config" in document:
        for descriptor in (document["config"], *document.get("layers", ())):
            found[descriptor["digest"]] = descriptor["size"]
    return tuple(Blob(digest=digest, size=size) for digest, size in found.items())


def deterministic_tar(target: Path, members: Iterable[tuple[str, Path | bytes, int]]) -> None:
    """Write a tar of (name, file or content, mode) whose bytes depend on nothing else.

    Folders above a name are written too (0755); owners are root, times are the epoch.
    """
    folders: set[str] = set()
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, source, mode in sorted(members, key=lambda member: member[0]):
            for parent in reversed(Path(name).parents[:-1]):
                if str(parent) not in folders:
                    folders.add(str(parent))
                    tar.addfile(_entry(str(parent), 0o755, tarfile.DIRTYPE, 0))
            _add_member(tar, name, source, mode)


def _add_member(tar: tarfile.TarFile, name: str, source: Path | bytes, mode: int) -> None:
    if isinstance(source, bytes):
        tar.addfile(_entry(name, mode, tarfile.REGTYPE, len(source)), io.BytesIO(source))
        return
    with source.open("rb") as stream:
        tar.addfile(_entry(name, mode, tarfile.REGTYPE, source.stat().st_size), stream)


def _entry(name: str, mode: int, kind: bytes, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type, entry.size, entry.mtime = mode, kind, size, 0
    return entry


def link_or_copy(source: Path, target: Path) -> None:
    """Give `target` the content of `source`, by hard link where possible; it is replaced whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    os.close(handle)
    temporary = Path(name)
    temporary.unlink()
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
