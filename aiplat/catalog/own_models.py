"""The catalogue of one site: what is shipped, and the models that the site has itself; reads no weights."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from aiplat.catalog.artifacts import Lock, OwnModel
from aiplat.catalog.catalog import Catalog, load_catalog
from aiplat.catalog.components import ArtifactRecipe, CatalogModel, Component, Licence
from aiplat.catalog.engines import ModelFeature
from aiplat.catalog.kept_digests import kept_digest
from aiplat.catalog.lockfile import lock_path, read_lock
from aiplat.catalog.recipes import OwnFiles, Recipe
from aiplat.catalog.upstream_recipes import UpstreamRecipe
from aiplat.catalog.version_sources import FromModel
from aiplat.content import digest_of
from aiplat.errors import BadInput, Finding
from aiplat.frozen import findings_of
from aiplat.site.model_files import licence_called
from aiplat.site.models import Site, SiteModel
from aiplat.site.own_weights import SNAPSHOT, own_files
from aiplat.site.rules.files import BUNDLE_PREFIX

if TYPE_CHECKING:
    from aiplat.fit.architecture import Architecture
    from aiplat.fit.files import ModelFiles
    from aiplat.fit.weights import Weights

_HOST = "models.aiplat.internal"
"""Where references of a site's own models begin; no such host is asked, the site registry has them."""
_STORE = "ollama-store"


def catalog_of(site: Site, lock: Lock | None = None) -> Catalog:
    """Return the shipped catalogue with the site's own models among those of their engines.

    What their files say comes from `lock`, which has pinned them, or else from the files.

    Raises:
        BadInput: files are not what they should be, or cannot be read; all of them named.
    """
    shipped = load_catalog()
    own = [model for model in site.models if model.source is not None]
    if not own:
        return shipped
    pinned = lock or (_written(site) if site.supply.startswith(BUNDLE_PREFIX) else None)
    findings: list[Finding] = []
    found: dict[str, list[CatalogModel]] = {}
    for model in own:
        engine = shipped.engine_of(model.name, model.engine)
        if engine is None:
            continue
        try:
            found.setdefault(engine.name, []).append(_entry(engine, model, site, pinned))
        except BadInput as error:
            findings += error.findings
    if findings:
        raise BadInput(findings)
    components = tuple(
        c.model_copy(update={"models": (*c.models, *found.get(c.name, ()))}) for c in shipped.components
    )
    return Catalog(shipped.planes, components)


def own_shape(name: str, own: OwnModel) -> tuple[Architecture, Weights] | None:
    """Return what aiplat.fit computes with, as a model's files said it; None where they said too little.

    What a lock says may come from outside, so it is looked at as any other text.
    """
    from aiplat.fit.known_models import as_architecture  # noqa: PLC0415 - few sites need it
    from aiplat.fit.weights import Weights  # noqa: PLC0415 - as above

    arch = as_architecture(name, own.shape or {})
    try:
        weights = TypeAdapter(Weights).validate_python(own.weights)
    except ValidationError:
        return None
    return (arch, weights) if arch and len(weights.layers) == arch.layers else None


def own_shapes(site: Site) -> dict[str, tuple[Architecture, Weights]]:
    """Return the models that a site has itself, by name, of those whose shape is known.

    Raises:
        BadInput: see `catalog_of`.
    """
    every = (model for component in catalog_of(site).components for model in component.models)
    shapes = {model.name: own_shape(model.name, model.own) for model in every if model.own}
    return {name: shape for name, shape in shapes.items() if shape}


def files_digest(files: list[Path], source: Path) -> str:
    """Return what stands for a model's files: the digest of their names and digests.

    Raises:
        OSError: one of them cannot be read.
    """
    return digest_of([[_name(path, source), kept_digest(path)] for path in files])


def _name(path: Path, source: Path) -> str:
    # What a single file is called, or the folder around it, is not a part of the model.
    return str(path.relative_to(source)) if path != source and path.suffix != ".gguf" else "model.gguf"


def _entry(engine: Component, model: SiteModel, site: Site, lock: Lock | None) -> CatalogModel:
    assert engine.engine is not None  # noqa: S101 - engines have it
    assert model.source is not None  # noqa: S101 - they are the site's own
    form = engine.engine.run.weights.form
    name = f"{_HOST}/{engine.name}/{model.name.partition(':')[0]}"
    pinned = _pinned(lock, name, model.name.partition(":")[2])
    files = OwnFiles(source=model.source, form=form, formats=site.model_formats)
    own = pinned or _read(files, _seen(files), site.supply.startswith(BUNDLE_PREFIX))
    features = model.features or tuple(f for f in own.features if f in engine.engine.features)
    program = engine.engine.image if form == _STORE else None
    return CatalogModel(
        name=model.name,
        purpose="A model of the site's own.",
        licence=Licence(**licence_called(model.licence, engine.folder.parent)),
        family=own.family,
        parameters=own.parameters,
        quantisation=own.quantisation,
        context_length=own.context_length,
        features=features,
        adapter=own.adapter,
        artifact=ArtifactRecipe(
            kind="model",
            name=name,
            version=FromModel.model_validate({"from": "model"}),
            hosts="all",
            packages=Recipe(own=files, engine=program),
            upstream=UpstreamRecipe(own=files),
        ),
        own=own,
    )


def _written(site: Site) -> Lock | None:
    path = lock_path(site)
    return read_lock(path) if path.exists() else None


def _pinned(lock: Lock | None, name: str, tag: str) -> OwnModel | None:
    found = (a.own for a in lock.of("model") if (a.name, a.version) == (name, tag)) if lock else iter(())
    return next(found, None)


def _seen(files: OwnFiles) -> tuple[tuple[str, int, int], ...]:
    """Return the files with what tells that they changed while this process runs."""
    every = own_files(files.source, files.form, files.formats) if files.source.exists() else []
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in every)


@lru_cache(maxsize=64)
def _read(files: OwnFiles, seen: tuple[tuple[str, int, int], ...], elsewhere: bool) -> OwnModel:
    """Return what files say of their model; without files, where a bundle has them, just that they exist."""
    from aiplat.fit.files import read_files  # noqa: PLC0415 - few sites need it

    if not seen and elsewhere:
        return OwnModel(digest=digest_of([]), size=0)
    if not seen:
        raise BadInput(Finding(str(files.source), "has no weights", "name the folder or file that has"))
    paths = [Path(path) for path, _, _ in seen]
    try:
        read = read_files(files.source if files.form == SNAPSHOT else paths[0])
        digest = files_digest(paths, files.source)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise BadInput(Finding(str(files.source), problem, "see whether it is still there")) from None
    document = {
        "digest": digest,
        "size": sum(size for _, size, _ in seen),
        "features": () if read.adapter else _features(read.converses, read.embeds),
        "adapter": read.adapter,
        "family": read.family,
        **_of_shape(read),
    }
    try:
        return OwnModel.model_validate(document)
    except ValidationError as error:
        fix = "take the files from their source again"
        raise BadInput(findings_of(error, str(files.source), fix=fix)) from None


def _of_shape(read: ModelFiles) -> dict[str, object]:
    """Return what of a model follows from its shape; nothing where that is not known."""
    from aiplat.fit.architecture import parameters  # noqa: PLC0415 - as above

    if read.shape is None:
        return {}
    arch, weights = read.shape
    return {
        "shape": arch.model_dump(mode="json", exclude_defaults=True),
        "weights": {**asdict(weights), "layers": list(weights.layers)},
        "quantisation": weights.quantisation,
        "parameters": _counted(parameters(arch)),
        "context_length": arch.max_ctx or None,
    }


def _counted(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def _features(converses: bool, embeds: bool) -> tuple[ModelFeature, ...]:
    if embeds:
        return ("embedding",)
    return ("completion", "chat") if converses else ("completion",)
