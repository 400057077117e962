"""Reads the catalogue's files of models as they are written; what an entry means is aiplat.catalog's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_LICENCES = "licences.yaml"
LATER = "models-later.yaml"
"""Models that no engine of this version runs, with what they need."""


@cache
def model_entries(component: Path) -> tuple[dict[str, Any], ...]:
    """Return the models in a component's folder `models/`, file by file, each with its licence in full.

    Raises:
        ValueError: a file is not a list of models, or names a licence that licences.yaml does not have.
        ruamel.yaml.error.YAMLError: a file is not YAML.
    """
    files = sorted((component / "models").glob("*.yaml"))
    return tuple(entry for file in files for entry in _entries(file, component.parent / _LICENCES))


@cache
def later_entries(plane: Path) -> tuple[dict[str, Any], ...]:
    """Return the models of a plane that no engine of this version runs; none without such a file.

    Raises:
        ValueError: as `model_entries`.
        ruamel.yaml.error.YAMLError: as `model_entries`.
    """
    file = plane / LATER
    return tuple(_entries(file, plane / _LICENCES)) if file.is_file() else ()


def licence_called(said: str, plane: Path) -> dict[str, Any]:
    """Return a licence by its name in a plane's licences.yaml or by SPDX; others have no conditions there.

    Raises:
        ruamel.yaml.error.YAMLError: the file is not YAML.
    """
    known: dict[str, dict[str, Any]] = _read(plane / _LICENCES)["licences"]
    same = [entry for name, entry in known.items() if said.casefold() in {name, entry["spdx"].casefold()}]
    return same[0] if same else {"spdx": said}


def _entries(file: Path, licences: Path) -> list[dict[str, Any]]:
    document = _read(file)
    listed = document.get("models") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ValueError(f"{file.name} has no list `models`")
    return [{**entry, "licence": _licence(entry, file, licences)} for entry in listed]


def _licence(entry: dict[str, Any], file: Path, licences: Path) -> Any:
    said = entry.get("licence")
    if not isinstance(said, str):
        return said
    known = _read(licences)["licences"] if licences.is_file() else {}
    if said not in known:
        raise ValueError(
            f"{file.name}: {entry.get('name')} has the licence {said!r}, which {_LICENCES} lacks"
        )
    return known[said]


@cache
def _read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)
