"""Small images, charts and models for upstreams to serve; each is what its name says and no more."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiplat.content import canonical_json, sha256_bytes
from aiplat.supply.oci import INDEX, MANIFEST, add_bytes, write_layout

GZIP_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_OCI = (MANIFEST, "application/vnd.oci.image.config.v1+json", GZIP_LAYER)
_DOCKER = (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of some files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def image(
    layout: Path,
    platform: str = "linux/amd64",
    *,
    docker: bool = False,
    layer_type: str | None = None,
    layers: int = 2,
    size: int = 1000,
) -> dict[str, Any]:
    """Add an image of one platform to a layout folder and return its descriptor."""
    manifest_type, config_type, own_layer = _DOCKER if docker else _OCI
    tars = [tar_of({f"file-{n}-{platform}": bytes([n]) * size}) for n in range(layers)]
    blobs = [add_bytes(layout, gzip.compress(tar, 0, mtime=0), layer_type or own_layer) for tar in tars]
    system, architecture, *_ = platform.split("/")
    config = {
        "architecture": architecture,
        "os": system,
        "rootfs": {"type": "layers", "diff_ids": [sha256_bytes(tar) for tar in tars]},
        "config": {"Cmd": ["/file-0"]},
    }
    document = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": add_bytes(layout, canonical_json(config), config_type),
        "layers": blobs,
    }
    described = add_bytes(layout, canonical_json(document), manifest_type)
    write_layout(layout, [described])
    return described


def multi_arch(
    layout: Path,
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
    *,
    docker: bool = False,
    **more: Any,
) -> str:
    """Make a layout folder with an image for several platforms and what buildx attests; return its digest."""
    described = []
    for name in platforms:
        system, architecture, *variant = name.split("/")
        platform = {
            "os": system,
            "architecture": architecture,
            **({"variant": variant[0]} if variant else {}),
        }
        described.append({**image(layout, name, docker=docker, **more), "platform": platform})
    if not docker:
        described.append(_attestation(layout, described[0]["digest"]))
    kind = DOCKER_LIST if docker else INDEX
    document = {"schemaVersion": 2, "mediaType": kind, "manifests": described}
    index = add_bytes(layout, canonical_json(document), kind)
    write_layout(layout, [index])
    return str(index["digest"])


def _attestation(layout: Path, subject: str) -> dict[str, Any]:
    """Add what buildx puts beside images: a manifest for no platform."""
    config = add_bytes(layout, b'{"architecture":"unknown","os":"unknown"}', _OCI[1])
    layer = add_bytes(
        layout, b'{"predicateType":"https://slsa.dev/provenance/v1"}', "application/vnd.in-toto+json"
    )
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    described = add_bytes(layout, canonical_json(document), MANIFEST)
    kind = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject}
    return {**described, "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": kind}


def chart(name: str = "server", version: str = "1.0.0", **more: str) -> bytes:
    """Return a packaged Helm chart; `more` stands in its Chart.yaml, as it is."""
    said = {"apiVersion": "v2", "name": name, "version": f'"{version}"', **more}
    text = "".join(f"{key}: {value}\n" for key, value in said.items())
    files = {f"{name}/Chart.yaml": text.encode(), f"{name}/values.yaml": b"{}\n"}
    return gzip.compress(tar_of(files), mtime=0)


def safetensors(tensors: int = 1) -> bytes:
    """Return the smallest file in the safetensors format."""
    names = {
        f"t{n}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n in range(tensors)
    }
    header = json.dumps(names).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * tensors)


def gguf(size: int = 4096) -> bytes:
    """Return bytes that begin as a GGUF does."""
    return b"GGUF" + (3).to_bytes(4, "little") + bytes(size)
