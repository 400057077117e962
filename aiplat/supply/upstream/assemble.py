"""Our own images without a build tool: a fetched image, and a layer of locked wheels and sources on it."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import certifi

from aiplat.catalog.upstream_recipes import Assemble, UpstreamImage, UpstreamRecipe
from aiplat.catalog.versions import from_versions_yaml
from aiplat.content import canonical_json
from aiplat.errors import AiplatError, Finding
from aiplat.state import expanded
from aiplat.supply.contract import Made
from aiplat.supply.oci import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    VERSION,
    Descriptor,
    add_bytes,
    add_file,
    add_manifest,
    deterministic_tar,
    read_json,
    write_layout,
)
from aiplat.supply.sources import copy_sources
from aiplat.supply.upstream.fetcher import FetchOrder, Pin
from aiplat.supply.upstream.images import RegistryImages
from aiplat.supply.wheels import install_wheels, uv_program

_EPOCH = "1970-01-01T00:00:00Z"
_MANYLINUX = {"amd64": "x86_64-manylinux_2_40", "arm64": "aarch64-manylinux_2_40"}
# The same layer under the name that Docker had for it before OCI.
_OCI_LAYER = {
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{LAYER}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": f"{LAYER}+zstd",
}


class AssembledImages:
    """Images of ours that nobody needs to publish: whoever has the other image and PyPI can make them."""

    def pin(self, order: FetchOrder) -> Pin:
        """Ask for the other image; what we lay on it is pinned by our own lock file."""
        return replace(RegistryImages().pin(_base(order)), blobs=(), version=order.artifact.version)

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Fetch the other image, then make one image for each platform and an index of them.

        Raises:
            AiplatError: something cannot be had.
        """
        if uv_program() is None:
            raise AiplatError(
                Finding("uv", "is missing; it fetches Python wheels", "install uv from PyPI beside aiplat")
            )
        top = RegistryImages().fetch(_base(order), pin, folder).manifest
        images = [_on(order, folder, base, platform) for base, platform in _images(folder, top)]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images}
        described = add_bytes(folder, canonical_json(index), INDEX)
        write_layout(folder, [described])
        return Made(described["digest"])


def _recipe(order: FetchOrder) -> Assemble:
    assert order.recipe.assemble is not None  # noqa: S101 - the supply asks by the recipe's kind
    return order.recipe.assemble


def _base(order: FetchOrder) -> FetchOrder:
    """Return the order for the image that ours is made on."""
    recipe = _recipe(order)
    image = UpstreamImage(reference=recipe.base, tag=from_versions_yaml(recipe.tag.key))
    return replace(order, recipe=UpstreamRecipe(image=image))


def _images(folder: Path, digest: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the manifests below an index that are there, each with its platform."""
    document = read_json(folder, digest)
    for child in document.get("manifests", []):
        if (folder / "blobs" / "sha256" / child["digest"].removeprefix("sha256:")).is_file():
            yield from _images(folder, child["digest"])
    if "config" in document:
        config = read_json(folder, document["config"]["digest"])
        yield document, f"{config['os']}/{config['architecture']}"


def _on(order: FetchOrder, folder: Path, base: Mapping[str, Any], platform: str) -> Descriptor:
    """Make our image for one platform on `base` and return its descriptor."""
    layer = add_file(folder, _layer(order, platform), LAYER)
    layers = [{**d, "mediaType": _OCI_LAYER.get(d["mediaType"], d["mediaType"])} for d in base["layers"]]
    document = _config(order, read_json(folder, base["config"]["digest"]), layer["digest"])
    config = add_bytes(folder, canonical_json(document), CONFIG)
    manifest = add_manifest(folder, config, [*layers, layer], {})
    system, _, architecture = platform.partition("/")
    return {**manifest, "mediaType": MANIFEST, "platform": {"os": system, "architecture": architecture}}


def _config(order: FetchOrder, base: dict[str, Any], diff_id: str) -> dict[str, Any]:
    """Return the other image's config with our layer and how ours is started."""
    recipe = _recipe(order)
    given = dict(entry.split("=", 1) for entry in base.get("config", {}).get("Env", []))
    labels = {
        "dev.aiplat.supply": "upstream",
        "dev.aiplat.component": order.component.name,
        VERSION: order.artifact.version,
    }
    config = {
        **base.get("config", {}),
        "Env": [f"{name}={value}" for name, value in {**given, **recipe.env}.items()],
        "Entrypoint": list(recipe.entrypoint),
        "Cmd": list(recipe.command),
        "User": recipe.user,
        "Labels": {**(base.get("config", {}).get("Labels") or {}), **labels},
    }
    rootfs = {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], diff_id]}
    history = [*base.get("history", []), {"created": _EPOCH, "created_by": "aiplat"}]
    return {**base, "config": config, "rootfs": rootfs, "history": history}


def _layer(order: FetchOrder, platform: str) -> Path:
    """Write the layer with wheels for one platform and our sources; the same content gives the same bytes."""
    recipe = _recipe(order)
    architecture = platform.partition("/")[2]
    order.phase(f"fetch Python wheels for {architecture}", 0, 0)
    root = order.work / f"root-{architecture}"
    library = root / recipe.root.strip("/")
    library.mkdir(parents=True)
    install_wheels(
        recipe.requirements, recipe.python, library, _MANYLINUX[architecture], _way_to_wheels(order)
    )
    copy_sources(recipe.sources, library)
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    tar = order.work / f"layer-{architecture}.tar"
    deterministic_tar(tar, [(str(p.relative_to(root)), p, _mode(p)) for p in files])
    shutil.rmtree(root)
    return tar


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _way_to_wheels(order: FetchOrder) -> dict[str, str]:
    """Return the environment in which uv goes the way that site.yaml says."""
    upstream = order.site.upstream
    environment: dict[str, str] = {}
    if upstream.proxy:
        environment |= {"HTTPS_PROXY": upstream.proxy, "HTTP_PROXY": upstream.proxy}
        environment["NO_PROXY"] = ",".join(upstream.no_proxy)
    if "pypi.org" in upstream.mirrors:
        environment["UV_DEFAULT_INDEX"] = upstream.mirrors["pypi.org"].rstrip("/") + "/simple"
    if upstream.ca:
        trusted = order.work / "trusted.pem"
        system = ssl.get_default_verify_paths().cafile
        parts = [certifi.where(), *([system] if system else []), str(expanded(upstream.ca))]
        trusted.write_text("\n".join(Path(part).read_text() for part in parts))
        environment["SSL_CERT_FILE"] = str(trusted)
    return environment
