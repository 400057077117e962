"""Makes images of models' files, so that hosts mount them; which files those are is the protocols'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aiplat.supply.contract import Made
from aiplat.supply.oci import (
    LAYER,
    Descriptor,
    add_file,
    add_image,
    add_index,
    deterministic_tar,
    write_layout,
)

# A file from this size on is a layer of its own, so that a new template does not move the weights again.
OWN_LAYER = 1 << 20


class ModelImage:
    """An image under way in a layout folder; `work` is on the same disk and takes a layer while it is made.

    A layer is a tar, so that what was fetched is copied once; what came stays until the image is finished.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder, self._work = folder, work
        self._layers: dict[str, Descriptor] = {}
        self._small: dict[str, bytes] = {}

    def add(self, name: str, content: Path | bytes) -> None:
        """Put a file into the image under a path; it is not needed any more afterwards."""
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size < OWN_LAYER:
            self._small[name] = content if isinstance(content, bytes) else content.read_bytes()
        else:
            self._layers[name] = self._layer([(name, content, 0o644)])

    def finish(self, labels: Mapping[str, str], platforms: Sequence[str]) -> Made:
        """Write manifests and layout; files say nothing of a platform, so that all share the layers."""
        layers = [layer for _, layer in sorted(self._layers.items())]
        if self._small:
            layers.append(self._layer([(name, data, 0o644) for name, data in self._small.items()]))
        images = {p: add_image(self._folder, layers, labels, platform=p) for p in platforms}
        top = next(iter(images.values())) if len(images) == 1 else add_index(self._folder, images)
        write_layout(self._folder, [top])
        return Made(str(top["digest"]))

    def _layer(self, members: Sequence[tuple[str, Path | bytes, int]]) -> Descriptor:
        tar = self._work / "layer.tar"
        deterministic_tar(tar, members)
        return add_file(self._folder, tar, LAYER)
