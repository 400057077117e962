"""Orders for single artifacts, as the `upstream` supply gives them to its fetchers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Artifact, ArtifactKind
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import CatalogModel, Component
from aiplat.catalog.upstream_recipes import UpstreamRecipe
from aiplat.content import digest_of
from aiplat.site.models import Site, Upstream
from aiplat.supply.contract import Made, Supplied
from aiplat.supply.oci import blobs_of
from aiplat.supply.upstream.fetcher import Fetcher, FetchOrder, Pin
from aiplat.supply.upstream.http import HttpClient, Patience
from tests.upstreams.server import Upstreams

# Waits are short, but long enough for a busy machine.
HURRY = Patience(tries=3, connect=20, stall=20, first=0.01, longest=0.05, asked=2)
_KINDS: dict[str, ArtifactKind] = {
    "image": "image",
    "assemble": "image",
    "helm": "chart",
    "ollama": "model",
    "huggingface": "model",
}


def http(net: Upstreams, patience: Patience = HURRY, **more: Any) -> HttpClient:
    """Return what asks through the test's proxy; `more` is said under `upstream` too."""
    said = {"proxy": net.proxy, "ca": net.ca, **more}
    return HttpClient(Upstream.model_validate({k: v for k, v in said.items() if v is not None}), patience)


class Desk:
    """Orders artifacts of one test and keeps what came; `told` is what was said of progress."""

    def __init__(self, folder: Path, engine: HttpClient, architectures: Sequence[str] = ("amd64",)) -> None:
        self.folder, self.http = folder, engine
        self.architectures = architectures
        self.told: list[tuple[str, int, int]] = []
        self.kept = folder / "kept"
        self.interrupt: Callable[[], None] = lambda: None

    def order(
        self,
        how: dict[str, Any],
        name: str = "example",
        version: str = "1.0",
        model: CatalogModel | None = None,
    ) -> FetchOrder:
        """Return the order of one artifact by its recipe."""
        recipe = UpstreamRecipe.model_validate(how)
        kind = _KINDS[recipe.kind]
        inputs = digest_of([how, name, version])
        artifact = Artifact(kind=kind, name=name, version=version, component="example", inputs=inputs)
        work = self.folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        self.kept.mkdir(exist_ok=True)
        return FetchOrder(
            artifact=artifact,
            component=component(),
            recipe=recipe,
            site=self._site(),
            catalog=Catalog((), ()),
            http=self.http,
            kept=self.kept,
            work=work,
            phase=self._phase,
            other=self._other,
            model=model,
        )

    def get(self, fetcher: Fetcher, order: FetchOrder, pin: Pin | None = None) -> tuple[Made, Path]:
        """Pin and fetch one artifact into a new folder; return what was made and the folder."""
        layout = self.folder / "layout"
        shutil.rmtree(layout, ignore_errors=True)
        layout.mkdir()
        return fetcher.fetch(order, pin or fetcher.pin(order), layout), layout

    def _phase(self, name: str, done: int, total: int) -> None:
        self.interrupt()
        self.told.append((name, done, total))

    def _other(self, kind: str, name: str) -> Supplied:
        raise AssertionError(f"nothing here is made with {kind} {name}")

    def _site(self) -> Site:
        hosts = [
            {"name": f"h{n}", "address": f"10.0.0.{n + 1}", "role": "agent" if n else "server", "arch": arch}
            for n, arch in enumerate(self.architectures)
        ]
        document = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward", "hosts": hosts}
        return Site.model_validate(document)


def component(artifacts: Sequence[dict[str, Any]] = ()) -> Component:
    """Return a component that has these artifacts and is there for nothing."""
    document = {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Component",
        "name": "example",
        "plane": "model",
        "purpose": "Nothing but tests.",
        "licence": {"spdx": "Apache-2.0"},
        "default": "on",
        "artifacts": artifacts,
    }
    return Component.model_validate(document)


def names(layout: Path) -> set[str]:
    """Return the digests of all blobs in a layout."""
    return {f"sha256:{path.name}" for path in (layout / "blobs/sha256").iterdir()}


def reached(layout: Path, made: Made) -> set[str]:
    """Return the digests that an artifact consists of."""
    return {blob.digest for blob in blobs_of(layout, made.manifest)}
