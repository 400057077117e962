"""Makes the images of models that a site has itself, in the form their engine mounts, for every supply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.components import Component
from aiplat.catalog.own_models import files_digest
from aiplat.catalog.recipes import OwnFiles
from aiplat.errors import AiplatError, Finding
from aiplat.site.own_weights import SNAPSHOT, own_files
from aiplat.supply.contract import Job, Made, Phase, Supplied
from aiplat.supply.model import import_weights
from aiplat.supply.oci import VERSION
from aiplat.supply.snapshots import document_findings
from aiplat.supply.upstream.weights import ModelImage


@dataclass(frozen=True)
class OwnOrder:
    """One model to be made an image of in `folder`; `other` returns the image of an engine's program."""

    artifact: Artifact
    component: Component
    files: OwnFiles
    folder: Path
    work: Path
    phase: Phase
    other: Callable[[str, str], Supplied]
    platforms: Sequence[str]


def build_own(job: Job) -> Made:
    """Make the image of a model of the site's own, where everything else is built from packages.

    Raises:
        AiplatError: see `make_own`.
    """
    assert job.recipe.own is not None  # noqa: S101 - the supply asks by the recipe's kind
    platforms = [job.artifact.platform]
    return make_own(
        OwnOrder(
            job.artifact, job.component, job.recipe.own, job.folder, job.work, job.phase, job.other, platforms
        )
    )


def make_own(order: OwnOrder) -> Made:
    """Put the files that were pinned into an image, as they are or as the engine's program stores them.

    Raises:
        AiplatError: the files are others by now, ask for code to be run, or the engine refuses them.
    """
    source = order.files.source
    paths = own_files(source, order.files.form, order.files.formats)
    _see_pinned(order, paths)
    image = ModelImage(order.folder, order.work)
    if order.files.form == SNAPSHOT:
        _add_snapshot(order, paths, image)
    elif _program_image(order):
        _add_store(order, paths[0], image)
    else:
        image.add("model.gguf", paths[0])
    order.phase("make the image", 0, 0)
    # While a copy was made, a file may have been written to.
    _see_pinned(order, paths)
    labels = {
        "dev.aiplat.supply": "own",
        VERSION: order.artifact.version,
        "dev.aiplat.model": order.component.name,
    }
    return image.finish(labels, order.platforms)


def _see_pinned(order: OwnOrder, paths: list[Path]) -> None:
    own, source = order.artifact.own, order.files.source
    order.phase("compare with the lock", 0, 0)
    try:
        digest = files_digest(paths, source)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise AiplatError(Finding(str(source), problem, "see whether it is still there")) from None
    if own is None or digest != own.digest:
        problem = "its files changed since the lock was made"
        raise AiplatError(Finding(str(source), problem, "run the same command again when they are complete"))


def _add_snapshot(order: OwnOrder, paths: list[Path], image: ModelImage) -> None:
    source = order.files.source
    names = [str(path.relative_to(source)) for path in paths]
    if findings := document_findings(str(source), source, names):
        raise AiplatError(findings)
    order.phase("copy the weights", 0, 0)
    for name, path in zip(names, paths, strict=True):
        image.add(name, path)


def _program_image(order: OwnOrder) -> str:
    """Return the image whose program stores the weights, or nothing where they are taken as they are."""
    recipe = next(m.artifact for m in order.component.models if m.artifact.name == order.artifact.name)
    return (recipe.packages.engine if recipe.packages else None) or ""


def _add_store(order: OwnOrder, weights: Path, image: ModelImage) -> None:
    order.phase("import into the engine's store", 0, 0)
    store = order.work / "store"
    name = next(
        m.name
        for m in order.component.models
        if (m.artifact.name, m.tag) == (order.artifact.name, order.artifact.version)
    )
    engine = order.other("image", _program_image(order))
    import_weights(engine, order.work, store, (name,), f"FROM {weights}\n")
    for path in sorted(p for p in store.rglob("*") if p.is_file()):
        image.add(str(path.relative_to(store)), path)
