"""Container images of registries: what they need for the site's platforms, pinned and fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Blob, Digest
from aiplat.catalog.upstream_recipes import UpstreamImage
from aiplat.errors import AiplatError, Finding
from aiplat.supply.contract import Made
from aiplat.supply.oci import CONFIG, LAYER, add_bytes, blob_path, link_or_copy, write_layout
from aiplat.supply.upstream.downloads import Downloads, Part
from aiplat.supply.upstream.fetcher import FetchOrder, Pin
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.references import Reference, image_reference
from aiplat.supply.upstream.registry import INDEXES, MANIFESTS, Manifest, Registry, blob_of

_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYERS = (
    LAYER,
    f"{LAYER}+gzip",
    f"{LAYER}+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
)
_ELSEWHERE = ("foreign", "nondistributable")
_ATTESTATION = "vnd.docker.reference.type"
# An index of indexes of indexes is nobody's image.
_DEPTH = 3


@dataclass
class _Found:
    """What an image consists of: manifests with their content, and blobs that are still to come."""

    registry: Registry
    reference: Reference
    wanted: frozenset[str]
    top: Manifest
    manifests: list[Manifest] = field(default_factory=list)
    blobs: dict[Digest, Blob] = field(default_factory=dict)
    platforms: set[str] = field(default_factory=set)


class RegistryImages:
    """Container images, by the index or manifest that their name stands for."""

    def pin(self, order: FetchOrder) -> Pin:
        """Ask what an image's name stands for now; only manifests and configs are fetched.

        An index stays whole, so that its digest stays; of what it names, only images for the site's
        platforms count.

        Raises:
            AiplatError: it is not there, is not an image, or lacks a platform.
        """
        recipe = order.recipe.image or UpstreamImage()
        name = f"{recipe.reference or order.artifact.name}:{order.filled(recipe.tag)}"
        return resolve_image(order.http, name, order.platforms, order.kept)

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Fill a layout folder with the image that was pinned, and nothing else.

        Raises:
            AiplatError: something cannot be had; what came is kept for the next try.
        """
        reference = image_reference(pin.source).at(pin.digest)
        registry = Registry(order.http, reference.host, order.kept)
        platforms = pin.platforms or order.platforms
        found = _look(registry, reference, platforms)

        def part(blob: Blob) -> Part:
            return Part(blob, lambda path, told: registry.download(reference, blob, path, told))

        parts = [part(blob) for blob in found.blobs.values()]
        downloads = Downloads(order)
        downloads.bring(parts, lambda blob, path: link_or_copy(path, blob_path(folder, blob.digest)))
        for manifest in found.manifests:
            add_bytes(folder, manifest.body, manifest.media_type)
        write_layout(folder, [found.top.descriptor])
        downloads.forget([*found.blobs.values(), *(manifest.blob for manifest in found.manifests)])
        return Made(pin.digest)


def resolve_image(http: HttpClient, name: str, platforms: Sequence[str], kept: Path | None = None) -> Pin:
    """Return what an image's name stands for now, for some platforms (`linux/amd64`).

    Manifests are kept in `kept`, so that fetching does not ask for them again.

    Raises:
        AiplatError: it is not there, is not an image, or lacks a platform.
    """
    reference = image_reference(name)
    found = _look(Registry(http, reference.host, kept), reference, platforms)
    blobs = {m.digest: m.blob for m in found.manifests} | found.blobs
    return Pin(
        digest=found.top.digest,
        source=reference.tagged,
        size=sum(blob.size for blob in blobs.values()),
        platforms=tuple(sorted(found.platforms)),
        blobs=tuple(blobs.values()),
    )


def _look(registry: Registry, reference: Reference, platforms: Sequence[str]) -> _Found:
    """Return the manifest a name stands for, and all that is needed of what it reaches."""
    found = _Found(registry, reference, frozenset(platforms), registry.manifest(reference))
    there = list(_images(found, found.top))
    lacking = [p for p in platforms if p not in found.platforms]
    if lacking:
        has = ", ".join(sorted({platform for platform in there if platform})) or "nothing that runs"
        problem = f"has no image for {' and '.join(lacking)}: there is {has}"
        raise AiplatError(
            Finding(reference.tagged, problem, "use another version, or hosts of that architecture")
        )
    return found


def _images(found: _Found, manifest: Manifest, depth: int = 0) -> Iterator[str]:
    """Note a manifest and what it needs; yield the platforms of all images that are named."""
    if not manifest.is_index:
        platform, blobs = _image(found.registry, found.reference, manifest)
        yield platform
        if platform in found.wanted:
            found.manifests.append(manifest)
            found.blobs.update(blobs)
            found.platforms.add(platform)
        return
    if depth == _DEPTH:
        problem = "is an index of indexes of indexes"
        raise AiplatError(Finding(found.reference.tagged, problem, "ask its maker"))
    found.manifests.append(manifest)
    for child in _children(found.reference, manifest):
        platform = _platform(child.get("platform") or {})
        # What does not say for whom it is says so further down.
        if platform and platform not in found.wanted:
            yield platform
            continue
        below = found.registry.manifest(found.reference.at(child["digest"]))
        yield from _images(found, below, depth + 1)


def _children(reference: Reference, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Yield the images that an index names; what builders attest of them is none."""
    children = manifest.document.get("manifests")
    if not isinstance(children, list):
        raise AiplatError(Finding(reference.tagged, "is an index that names nothing", "ask its maker"))
    for child in children:
        if _ATTESTATION in (child.get("annotations") or {}) or child.get("artifactType"):
            continue
        if child.get("mediaType") in (*MANIFESTS, *INDEXES):
            blob_of(reference.tagged, child)
            yield child


def _platform(said: dict[str, Any]) -> str:
    """Return `linux/amd64`; a variant is left out, since every host can choose among those that came."""
    system, architecture = said.get("os"), said.get("architecture")
    return f"{system}/{architecture}" if system and architecture else ""


def _image(registry: Registry, reference: Reference, manifest: Manifest) -> tuple[str, dict[Digest, Blob]]:
    """Return an image's platform and its blobs.

    Raises:
        AiplatError: it is not an image that a host could run.
    """
    config = manifest.document.get("config") or {}
    if config.get("mediaType") not in (CONFIG, _DOCKER_CONFIG):
        problem = f"is not a container image: its config is {config.get('mediaType') or 'missing'}"
        raise AiplatError(Finding(reference.tagged, problem, "see the name"))
    layers = manifest.document.get("layers") or []
    findings = [f for layer in layers if (f := _unusable(reference, layer))]
    if findings:
        raise AiplatError(findings)
    blobs = {b.digest: b for d in (config, *layers) for b in [blob_of(reference.tagged, d)]}
    said = registry.config(reference, blobs[config["digest"]])
    return _platform(said), blobs


def _unusable(reference: Reference, layer: dict[str, Any]) -> Finding | None:
    kind = str(layer.get("mediaType"))
    if kind in _LAYERS:
        return None
    if any(word in kind for word in _ELSEWHERE):
        problem = f"has a layer that its registry may not hand out ({kind})"
        return Finding(reference.tagged, problem, "such layers come from their maker only: use another image")
    if kind.endswith("+encrypted"):
        return Finding(reference.tagged, "has an encrypted layer", "use one that is not encrypted")
    return Finding(
        reference.tagged, f"has a layer of a kind that no host unpacks ({kind})", "use another image"
    )
