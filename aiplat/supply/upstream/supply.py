"""The `upstream` supply: pins what upstream has, and fetches what was pinned; protocols are beside it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.upstream_recipes import UpstreamKind
from aiplat.errors import AiplatError, Finding
from aiplat.site.models import Site
from aiplat.supply.cache import Cache, Record
from aiplat.supply.contract import Aged, Made, Supplied, SupplyProgress
from aiplat.supply.oci import blobs_of
from aiplat.supply.upstream.assemble import AssembledImages
from aiplat.supply.upstream.charts import OwnCharts
from aiplat.supply.upstream.fetcher import Fetcher, FetchOrder, Pin
from aiplat.supply.upstream.helm import HelmCharts
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.huggingface import HuggingFaceModels
from aiplat.supply.upstream.images import RegistryImages
from aiplat.supply.upstream.listed import as_listed
from aiplat.supply.upstream.ollama import OllamaModels
from aiplat.supply.upstream.ospackages.fetch import OsPackageSets
from aiplat.supply.upstream.own import OwnModels
from aiplat.supply.upstream.releases import ReleaseFiles
from aiplat.supply.upstream.runtime import RuntimeWheels

FETCHERS: Mapping[UpstreamKind, Fetcher] = {
    UpstreamKind.RELEASE: ReleaseFiles(),
    UpstreamKind.IMAGE: RegistryImages(),
    UpstreamKind.HELM: HelmCharts(),
    UpstreamKind.OLLAMA: OllamaModels(),
    UpstreamKind.HUGGINGFACE: HuggingFaceModels(),
    UpstreamKind.OSPACKAGES: OsPackageSets(),
    UpstreamKind.CHART: OwnCharts(),
    UpstreamKind.ASSEMBLE: AssembledImages(),
    UpstreamKind.RUNTIME: RuntimeWheels(),
    UpstreamKind.OWN: OwnModels(),
}
# Archives are unpacked and layers assembled beside what was fetched.
_FACTOR = 2


@dataclass(frozen=True)
class Outlook:
    """Bytes: `total` of all artifacts, `missing` of those that are not there yet, `free` where they go."""

    total: int
    missing: int
    free: int


class UpstreamSupply:
    """Release files, container images, charts, models and packages, pinned by digest."""

    name = "upstream"

    def __init__(
        self,
        site: Site,
        http: HttpClient | None = None,
        cache: Cache | None = None,
        fetchers: Mapping[UpstreamKind, Fetcher] = FETCHERS,
        catalog: Catalog | None = None,
    ) -> None:
        self.site = site
        self.lock: Lock | None = None  # where one artifact is made with another, which one that is
        self.cache = cache or Cache()
        self.concurrency = site.upstream.concurrency
        self._http = http
        self._fetchers = fetchers
        self._catalog = catalog or catalog_of(site)
        self._stopped = threading.Event()

    @property
    def http(self) -> HttpClient:
        """What asks upstream; made when it is first needed."""
        if self._http is None:
            self._http = HttpClient(self.site.upstream)
        return self._http

    def pin(self, artifact: Artifact, on_progress: SupplyProgress) -> Artifact:
        """Return the artifact with what upstream has for it now.

        Raises:
            AiplatError: upstream does not have it, or does not answer.
        """
        with self._order(artifact, on_progress) as given:
            order = as_listed(given)
            pin = self._fetcher(order).pin(order)
        return with_pin(order.artifact, pin)

    def outlook(self, artifacts: Iterable[Artifact]) -> Outlook:
        """Return how many bytes are to come."""
        artifacts = tuple(artifacts)
        missing = sum(a.download or 0 for a in artifacts if self.cache.find(a) is None)
        free = shutil.disk_usage(self.cache.root).free
        return Outlook(sum(a.download or 0 for a in artifacts), missing, free)

    def check(self, artifacts: Iterable[Artifact]) -> None:
        """See that there is room for what is not there yet.

        Raises:
            AiplatError: there is not.
        """
        artifacts = tuple(artifacts)
        self.cache.prune({a.key for a in artifacts})
        self.cache.require_space(self.outlook(artifacts).missing * _FACTOR)

    def supply(self, artifact: Artifact, on_progress: SupplyProgress) -> Supplied:
        """Return the artifact, fetched now if it never was.

        Raises:
            AiplatError: it cannot be had, or upstream has something else by now; what came is kept.
        """
        pinned = artifact if artifact.pinned else self.pin(artifact, on_progress)

        def make(folder: Path) -> Record:
            with self._order(pinned, on_progress) as order:
                made = self._fetcher(order).fetch(order, pin_of(pinned), folder)
            return _recorded(pinned, made, folder)

        return self.cache.artifact(pinned, make)

    def discard(self, artifact: Artifact) -> None:
        """Forget what was fetched for the artifact, because it is damaged."""
        self.cache.discard(artifact.key)

    def refresh(self, artifacts: Iterable[Artifact]) -> list[Aged]:  # noqa: ARG002 - the Protocol's
        """Do nothing: what is newer upstream is taken with `aiplat lock --update`."""
        return []

    def stop(self) -> None:
        """End what is being fetched; what came so far stays."""
        self._stopped.set()
        if self._http is not None:
            self._http.stop()

    def _fetcher(self, order: FetchOrder) -> Fetcher:
        fetcher = self._fetchers.get(order.recipe.kind)
        if fetcher is None:
            problem = f"this version cannot fetch by `{order.recipe.kind}`"
            raise AiplatError(Finding(order.artifact.label, problem, "turn the component off"))
        return fetcher

    @contextmanager
    def _order(self, artifact: Artifact, told: SupplyProgress) -> Iterator[FetchOrder]:
        component, described = self._catalog.recipe(artifact.kind, artifact.name, artifact.version)
        if described.upstream is None:
            problem = f"the supply `upstream` cannot deliver {artifact.ref}"
            raise AiplatError(Finding(component.name, problem, "turn the component off"))

        def phase(name: str, done: int, total: int) -> None:
            if self._stopped.is_set():
                raise AiplatError(Finding(artifact.ref, "was interrupted", "run the same command to resume"))
            told(artifact, name, done, total)

        def other(kind: str, name: str) -> Supplied:
            every = self.lock.artifacts if self.lock else ()
            return self.supply(next(a for a in every if (a.kind, a.name) == (kind, name)), told)

        model = self._catalog.model_of(artifact.name, artifact.version) if artifact.kind == "model" else None
        with self.cache.work() as work:
            yield FetchOrder(
                artifact=artifact,
                component=component,
                recipe=described.upstream,
                site=self.site,
                catalog=self._catalog,
                http=self.http,
                kept=self.cache.kept("upstream"),
                work=work,
                phase=phase,
                other=other,
                model=model,
            )


def with_pin(artifact: Artifact, pin: Pin) -> Artifact:
    """Return an artifact with what a pin says of it."""
    known = {"digest": pin.blobs[0].digest, "blobs": pin.blobs} if pin.blobs else {}
    return artifact.model_copy(
        update={
            "version": pin.version or artifact.version,
            "source": pin.source,
            "pinned": pin.digest,
            "download": pin.size,
            "platforms": pin.platforms or None,
            "packages": pin.packages,
            "file": pin.file,
            **known,
        }
    )


def pin_of(artifact: Artifact) -> Pin:
    """Return the pin that an artifact of a lock carries."""
    return Pin(
        digest=str(artifact.pinned),
        source=artifact.source or "",
        size=artifact.download or 0,
        version=artifact.version,
        platforms=artifact.platforms or (),
        packages=artifact.packages,
        blobs=artifact.blobs,
        file=artifact.file,
    )


def _recorded(artifact: Artifact, made: Made, folder: Path) -> Record:
    """Return what the cache keeps of an artifact that was just fetched.

    Raises:
        AiplatError: it is not what the lock says it is.
    """
    if artifact.digest and made.manifest != artifact.digest:
        problem = f"came out as {made.manifest}, and the lock has {artifact.digest}"
        fix = f"if that is meant, take it: aiplat lock --update {artifact.component}"
        raise AiplatError(Finding(artifact.ref, problem, fix))
    return Record(
        version=made.version or artifact.version,
        digest=made.manifest,
        file=made.file,
        blobs=blobs_of(folder, made.manifest),
    )
