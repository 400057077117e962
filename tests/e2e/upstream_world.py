"""Upstreams for a journey: they serve what `packages` built, under the names of the projects' releases.

The k3s of such a release is the stand-in for lab hosts, and no other host could be given it: these upstreams
are on the loopback interface of this machine while a test runs.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.resolve import resolve
from aiplat.content import canonical_json
from aiplat.site.load import load_site
from aiplat.supply.contract import Supplied
from aiplat.supply.oci import (
    CONFIG,
    LAYER,
    Descriptor,
    add_bytes,
    add_file,
    add_manifest,
    blob_path,
    read_json,
    write_layout,
)
from aiplat.supply.packages import PackagesSupply
from tests.e2e.journey import SITES
from tests.upstreams.everything import Programs, Published, publish
from tests.upstreams.server import Upstreams

_OURS = "opt/aiplat"
_REPOSITORIES = {
    "docker.io/rancher/mirrored-pause": "rancher/mirrored-pause",
    "docker.io/rancher/mirrored-coredns-coredns": "rancher/mirrored-coredns-coredns",
    "docker.io/rancher/local-path-provisioner": "rancher/local-path-provisioner",
    "docker.io/rancher/mirrored-library-busybox": "rancher/mirrored-library-busybox",
    "docker.io/ollama/ollama": "ollama/ollama",
    "ghcr.io/aiplat/postgresql": "pgvector/pgvector",
}


def publish_packages(net: Upstreams, folder: Path) -> Published:
    """Build what was not built yet, and serve it as the projects' releases are served."""
    built = _built()
    images = {repository: built["image", name] for name, repository in _REPOSITORIES.items()}
    layouts = {repository: _alone(one, folder) for repository, one in images.items()}
    layouts["library/python"] = _python(built["image", "ghcr.io/aiplat/aiplat"], folder / "python")
    programs = Programs(*(_file(built["hostfile", name]) for name in ("k3s", "helm", "registry")))
    listed = {r: one.artifact.version for r, one in images.items() if r.startswith("rancher/")}
    published = publish(net, folder, programs, layouts, listed)
    store = folder / "store"
    _unpack(built["model", "registry.ollama.ai/library/smollm2"], store)
    ollama = net.ollama()
    ollama.publish_store(store, "library/smollm2", "135m")
    # The same weights under the names of the catalogue's model: both converse.
    for tag in ("270m", "270m-it-q8_0"):
        ollama.manifests["library/gemma3", tag] = ollama.manifests["library/smollm2", "135m"]
    return published


def _built() -> dict[tuple[str, str], Supplied]:
    """Return every artifact of a lab site, as `packages` makes it."""
    lock = resolve(load_site(SITES / "one-host.yaml"), supply="packages")
    supply = PackagesSupply(lock)

    def silent(artifact: Artifact, phase: str, done: int, total: int) -> None:
        """Nobody watches."""

    return {(a.kind, a.name): supply.supply(a, silent) for a in lock.artifacts}


def _file(one: Supplied) -> bytes:
    return blob_path(one.folder, str(one.artifact.file)).read_bytes()


def _alone(one: Supplied, folder: Path) -> Path:
    """Return a layout folder that names just this image; blobs are where they were built."""
    target = folder / str(one.artifact.digest).replace(":", "-")
    target.mkdir(parents=True)
    (target / "blobs").symlink_to(one.folder / "blobs")
    manifests = [{"digest": one.artifact.digest}]
    (target / "index.json").write_bytes(canonical_json({"manifests": manifests}))
    return target


def _python(one: Supplied, target: Path) -> Path:
    """Return an image with the system and Python of ours, and nothing of what we lay on it."""
    document = read_json(one.folder, str(one.artifact.digest))
    target.mkdir(parents=True)
    # Each layer stays one of its own: what one takes away of another would take away its own in one.
    layers = [_without_ours(blob_path(one.folder, d["digest"]), target) for d in document["layers"]]
    config = read_json(one.folder, document["config"]["digest"])
    config["config"] = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}
    config["rootfs"] = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    config.pop("history", None)
    described = add_manifest(target, add_bytes(target, canonical_json(config), CONFIG), layers, {})
    write_layout(target, [described])
    return target


def _without_ours(layer: Path, target: Path) -> Descriptor:
    packed = target / "layer.tar"
    with tarfile.open(layer) as source, tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as to:
        for member in source:
            if not member.name.removeprefix("./").startswith(_OURS):
                to.addfile(member, source.extractfile(member) if member.isfile() else None)
    return add_file(target, packed, LAYER)


def _unpack(one: Supplied, store: Path) -> None:
    """Lay out the engine's own store that a model's image holds."""
    for layer in read_json(one.folder, str(one.artifact.digest))["layers"]:
        with tarfile.open(blob_path(one.folder, layer["digest"])) as tar:
            tar.extractall(store, filter="data")
