"""Looks versions up where they are owned (versions.yaml, go.mod, Python lock, project); writes none."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from aiplat.catalog.components import ArtifactRecipe, CatalogModel, Component
from aiplat.catalog.version_sources import FromGoMod, FromLocks, FromProject, FromSystem, FromVersions
from aiplat.errors import AiplatError, Finding
from aiplat.shipped import shipped


def version_of(
    component: Component,
    recipe: ArtifactRecipe,
    model: CatalogModel | None = None,
    supply: str = "packages",
) -> str:
    """Return the version of an artifact; `model` is the catalogue entry whose artifact it is, if one.

    An upstream may count its versions otherwise than the packages do.

    Raises:
        AiplatError: its owner does not have it (a defect of this installation).
    """
    own = recipe.upstream.version if recipe.upstream and supply == "upstream" else None
    source = own or recipe.version
    if isinstance(source, FromVersions):
        return from_versions_yaml(source.key)
    if isinstance(source, FromGoMod):
        folder = component.folder / ((recipe.packages and recipe.packages.go) or "build")
        found = from_go_mod(folder / "go.mod", source.module)
        return found if source.keep_v else found.removeprefix("v")
    if isinstance(source, FromLocks):
        return from_lock(source.package, source.lock)
    if isinstance(source, FromProject):
        return installed_version("aiplat")
    if isinstance(source, FromSystem):
        where = f"{component.name}: {recipe.name}"
        raise AiplatError(Finding(where, "its versions are those of a host's system; name that"))
    if model is None:
        where = f"{component.name}: {recipe.name}"
        raise AiplatError(Finding(where, "only a model's version can come from its name"))
    return model.tag


@cache
def versions_yaml() -> dict[str, Any]:
    """Return versions.yaml's content."""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(shipped("versions.yaml"))
    return document


def from_versions_yaml(key: str) -> str:
    """Return the version at a dotted path, e.g. `kubernetes.k3s`.

    Raises:
        AiplatError: nothing is there.
    """
    value: Any = versions_yaml()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str):
        raise AiplatError(Finding("versions.yaml", f"{key} is not a version", "add it there as text"))
    return value


def from_go_mod(path: Path, module: str) -> str:
    """Return the version, with its `v`, that a go.mod requires of a module.

    Raises:
        AiplatError: the file is missing or does not require the module.
    """
    try:
        text = path.read_text()
    except OSError:
        raise AiplatError(Finding(str(path), "is missing", "install aiplat again")) from None
    found = re.search(rf"^(?:require\s+|\s+){re.escape(module)}\s+(v\S+)", text, re.MULTILINE)
    if not found:
        raise AiplatError(Finding(str(path), f"does not require {module}", f"add {module} to it"))
    return found[1]


SOURCES_LOCK = "locks/sources.txt"
"""Pins files of PyPI packages whose content is taken without installing them."""


def from_lock(package: str, lock: str = "locks/requirements.txt") -> str:
    """Return the version of a Python package that a lock file pins.

    Raises:
        AiplatError: the lock does not pin it.
    """
    return lock_entry(package, lock)[0]


def lock_entry(package: str, lock: str = "locks/requirements.txt") -> tuple[str, tuple[str, ...]]:
    """Return version and hashes that a lock file pins for a Python package.

    Raises:
        AiplatError: the lock does not pin it.
    """
    name = "[-_.]".join(re.escape(part) for part in re.split(r"[-_.]", package))
    entry = rf"^{name}==(\S+)[^\n]*((?:\n[ \t]+\S[^\n]*)*)"
    found = re.search(entry, shipped(lock).read_text(), re.MULTILINE | re.IGNORECASE)
    if not found:
        raise AiplatError(Finding(lock, f"does not pin {package}", "lock it with its hashes"))
    return found[1], tuple(sorted(re.findall(r"--hash=(\S+)", found[2])))


def lock_entries(prefix: str, lock: str = "locks/requirements.txt") -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return version and hashes of a Python package and of those named `<prefix>-…` that hold parts of it.

    Raises:
        AiplatError: the lock does not pin the package itself.
    """
    parts = re.findall(rf"^({re.escape(prefix)}-[a-z0-9-]+)==", shipped(lock).read_text(), re.MULTILINE)
    return {name: lock_entry(name, lock) for name in (prefix, *parts)}
