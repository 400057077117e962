"""Our own charts under the `upstream` supply: they come with aiplat itself, nothing is fetched."""

from __future__ import annotations

from pathlib import Path

from aiplat.supply.chart import store_chart
from aiplat.supply.contract import Made
from aiplat.supply.oci import blobs_of
from aiplat.supply.upstream.fetcher import FetchOrder, Pin


class OwnCharts:
    """Charts in a component's folder; the same bytes as `packages` makes of them, but for the label."""

    def pin(self, order: FetchOrder) -> Pin:
        """Package it, which needs no network, and say what came out."""
        folder = order.work / "pinned"
        folder.mkdir()
        made = self._package(order, folder)
        source = f"aiplat {order.artifact.version}, {order.component.folder.name}/{order.recipe.chart}"
        blobs = blobs_of(folder, made.manifest)
        return Pin(str(made.file), source, 0, blobs=blobs, file=made.file)

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:  # noqa: ARG002 - the Protocol's
        """Package it."""
        return self._package(order, folder)

    def _package(self, order: FetchOrder, folder: Path) -> Made:
        order.phase("package", 0, 0)
        source = order.component.folder / str(order.recipe.chart)
        return store_chart(folder, source, order.artifact.version, "upstream")
