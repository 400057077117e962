"""A small made catalogue with one artifact of each kind, and builders that count how often they are asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.recipes import RecipeKind
from aiplat.content import digest_of
from aiplat.errors import AiplatError, Finding
from aiplat.site.models import Site
from aiplat.supply.cache import Cache
from aiplat.supply.contract import Builder, Job, Made
from aiplat.supply.oci import (
    EMPTY,
    add_bytes,
    add_file,
    add_manifest,
    add_tar_image,
    deterministic_tar,
    write_layout,
)
from aiplat.supply.packages import PackagesSupply
from tests.upstreams.orders import component

RECIPES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("hostfile", "tool", {"go": "build", "package": "example.org/tool"}),
    ("image", "docker.io/example/server", {"containerfile": "Containerfile", "base": "debian"}),
    ("chart", "ghcr.io/example/charts/server", {"chart": "chart"}),
    (
        "model",
        "registry.example.org/library/tiny",
        {"gguf": "tiny-gguf", "engine": "docker.io/example/server"},
    ),
)


def catalog() -> Catalog:
    """Return the catalogue of the made artifacts."""
    artifacts = [
        {"kind": kind, "name": name, "version": {"from": "project"}, "packages": recipe}
        for kind, name, recipe in RECIPES
    ]
    return Catalog((), (component(artifacts),))


def lock(version: str = "1.0.0") -> Lock:
    """Return the lock that names all of them."""
    artifacts = tuple(
        Artifact(
            kind=kind,
            name=name,
            version=version,
            component="example",
            inputs=digest_of([kind, name, version]),
        )
        for kind, name, _ in RECIPES
    )
    return Lock(site="ward", supply="packages", artifacts=artifacts)


def site() -> Site:
    """Return the site of that lock."""
    host = {"name": "s1", "address": "10.0.0.11", "role": "server"}
    document = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward", "hosts": [host]}
    return Site.model_validate(document)


class Workshop:
    """Builders of small content that note each call; `before` is called at the start of each.

    `debian` are the Debian packages that an artifact takes, by its name: `release/name` → version. They are
    in its content.
    """

    def __init__(self, before: Callable[[Job], None] = lambda _: None) -> None:
        self.calls: Counter[str] = Counter()
        self.before = before
        self.debian: dict[str, dict[str, str]] = {}

    @property
    def builders(self) -> Mapping[RecipeKind, Builder]:
        """The builders by recipe."""
        return {"go": self._file, "chart": self._file, "image": self._image, "model": self._model}

    def _start(self, job: Job) -> None:
        self.calls[job.artifact.name] += 1
        job.phase("make", 0, 0)
        self.before(job)
        job.taken.update(self.debian.get(job.artifact.name, {}))

    def _file(self, job: Job) -> Made:
        self._start(job)
        path = job.work / "file"
        path.write_bytes(f"{job.artifact.name} {job.artifact.version}\n".encode() * 1000)
        layer = add_file(job.folder, path, "application/octet-stream")
        manifest = add_manifest(job.folder, add_bytes(job.folder, b"{}", EMPTY), [layer], {})
        write_layout(job.folder, [manifest])
        return Made(manifest["digest"], file=layer["digest"])

    def _image(self, job: Job) -> Made:
        self._start(job)
        return self._tar(job, {"usr/bin/server": b"#!/bin/true\n" * 500 + repr(job.taken).encode()})

    def _model(self, job: Job) -> Made:
        self._start(job)
        engine = job.other("image", "docker.io/example/server")
        return self._tar(job, {"blobs/weights": str(engine.artifact.digest).encode() * 200})

    def _tar(self, job: Job, files: dict[str, bytes]) -> Made:
        tar = job.work / "layer.tar"
        deterministic_tar(tar, [(name, data, 0o644) for name, data in files.items()])
        manifest = add_tar_image(job.folder, tar, {})
        write_layout(job.folder, [manifest])
        return Made(manifest["digest"])


def supply(root: Path, workshop: Workshop, wanted: Lock | None = None) -> PackagesSupply:
    """Return a `packages` supply of the made catalogue with its cache in `root`."""
    return PackagesSupply(wanted or lock(), Cache(root), workshop.builders, catalog())


def failing(name: str) -> Callable[[Job], None]:
    """Return what makes the builder of one artifact fail."""

    def fail(job: Job) -> None:
        if job.artifact.name == name:
            raise AiplatError(Finding(name, "does not compile"))

    return fail


def silent(*_: object) -> None:
    """Take no note of progress."""
