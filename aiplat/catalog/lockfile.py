"""Reads, writes and compares lock.yaml; what a site resolves to is decided in aiplat.catalog.resolve."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.content import write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.frozen import findings_of
from aiplat.site.models import Site
from aiplat.state import site_dir

API_VERSION = "aiplat.dev/v1alpha1"
_HEADER = "# Written by aiplat: every version and digest of the site. Compare it, keep it, do not edit it.\n"


def write_lock(path: Path, lock: Lock) -> None:
    """Write the lock so that readers see the old one or the new one, never a part."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(lock.model_dump(mode="json", by_alias=True, exclude_none=True), text)
    write_atomic(path, (_HEADER + text.getvalue()).encode(), mode=0o600)


def read_lock(path: Path) -> Lock:
    """Return the lock in a file.

    Raises:
        BadInput: there is none, it is damaged, or a newer aiplat wrote it.
    """
    document = _read(path)
    if document.get("kind") != "Lock":
        raise BadInput(Finding(str(path), "this is not a lock", "name a lock.yaml that aiplat wrote"))
    if document.get("apiVersion") != API_VERSION:
        problem = f"{document.get('apiVersion')} is a version of locks that this aiplat does not know"
        raise BadInput(Finding(str(path), problem, "use the aiplat that wrote it, or a newer one"))
    try:
        return Lock.model_validate(document)
    except ValidationError as error:
        raise BadInput(findings_of(error, str(path), fix=_AGAIN)) from None


_AGAIN = "remove the file; the next run resolves the site again"


def _read(path: Path) -> dict[str, Any]:
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text())
    except FileNotFoundError:
        raise BadInput(Finding(str(path), "there is no lock", "make one with `aiplat plan`")) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(Finding(f"{path}:{line}", f"this is not YAML: {error.problem}", _AGAIN)) from None
    except (OSError, UnicodeDecodeError, YAMLError, RecursionError) as error:
        raise BadInput(Finding(str(path), f"cannot be read: {error}", _AGAIN)) from None
    return document if isinstance(document, dict) else {}


def supply_in_use(site: Site) -> Literal["packages", "upstream"] | None:
    """Return the supply of a site's artifacts: as its file says, else as its lock says; None if neither."""
    if site.supply in ("packages", "upstream"):
        return "upstream" if site.supply == "upstream" else "packages"
    path = lock_path(site)
    return read_lock(path).supply if path.exists() else None


def lock_path(site: Site) -> Path:
    """Return where a site's lock is, whether or not it is there."""
    return site_dir(site.name) / "lock.yaml"


def diff_locks(old: Lock, new: Lock) -> list[str]:
    """Return one sentence for each artifact that differs, and for the supply; empty where nothing does."""
    before, after = _by_name(old), _by_name(new)
    sentences = [f"the supply changes from {old.supply} to {new.supply}"] if old.supply != new.supply else []
    sentences += [f"{_title(before[k])} goes" for k in before if k not in after]
    sentences += [f"{_title(after[k])} comes" for k in after if k not in before]
    for key in before.keys() & after.keys():
        said = _change(before[key], after[key])
        sentences += [f"{after[key].label} {said}"] if said else []
    return sorted(sentences)


Key = tuple[str, str]


def _by_name(lock: Lock) -> dict[Key, Artifact]:
    """Return artifacts by what stays when their version changes; a model's version is part of its name."""
    return {(a.label, a.version if a.kind == "model" else ""): a for a in lock.artifacts}


def _title(artifact: Artifact) -> str:
    other = artifact.label.removeprefix(f"{artifact.kind} {artifact.name}")
    return f"{artifact.kind} {artifact.name}:{artifact.version}{other}"


def _changed_packages(old: Artifact, new: Artifact) -> str:
    before, after = ({p.name: p.version for p in a.packages} for a in (old, new))
    if not before or not after:
        return ""
    told = [f"{n} {before[n]} → {after[n]}" for n in before if n in after and before[n] != after[n]]
    told += [f"{name} {before[name]} goes" for name in before if name not in after]
    told += [f"{name} {after[name]} comes" for name in after if name not in before]
    return f"changes: {', '.join(sorted(told))}" if told else ""


def _change(old: Artifact, new: Artifact) -> str:
    """Return how one artifact differs, or nothing; the first difference explains those behind it."""
    if told := _changed_packages(old, new):
        return told
    if old.version != new.version:
        return f"changes from {old.version} to {new.version}"
    if old.inputs != new.inputs:
        return "is made again: what it is made of changed"
    if old.pinned and new.pinned and old.pinned != new.pinned:
        return f"is exchanged upstream: {old.pinned[:19]} becomes {new.pinned[:19]}"
    if old.digest and new.digest and old.digest != new.digest:
        return f"has other content: {old.digest[:19]} becomes {new.digest[:19]}"
    return ""
