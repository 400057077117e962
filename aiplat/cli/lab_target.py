"""Which lab a `aiplat lab` command means: a site file, a site aiplat brings along, or a lab that is there."""

from __future__ import annotations

import difflib
from pathlib import Path

from aiplat.errors import BadInput, Finding
from aiplat.shipped import shipped
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.state import state_home


def lab_site(given: str) -> Site:
    """Return the site that `given` names: a path, or the name of a site that aiplat brings along.

    Raises:
        BadInput: there is no such site, or its file has findings.
    """
    path = _site_file(given)
    if path is None:
        raise BadInput(_unknown(given, _brought_along()))
    return load_site(path)


def lab_name(given: str) -> str:
    """Return the name of the lab that `given` means; a lab whose site file is gone is found by its name.

    Raises:
        BadInput: it is neither a site nor the name of anything a lab may be called.
    """
    path = _site_file(given)
    if path is not None:
        return load_site(path).name
    if "/" in given or given.endswith((".yaml", ".yml")):
        raise BadInput(_unknown(given, _brought_along() | _labs_here()))
    return given


def _site_file(given: str) -> Path | None:
    path = Path(given)
    if path.is_dir() and (path / "site.yaml").is_file():
        return path / "site.yaml"
    if path.is_file():
        return path
    inside = shipped("inventory") / given / "site.yaml"
    return inside if "/" not in given and inside.is_file() else None


def _unknown(given: str, known: set[str]) -> Finding:
    near = difflib.get_close_matches(given, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"give a site.yaml, or one of {', '.join(sorted(known))}"
    return Finding(given, "is neither a site.yaml nor a site that aiplat brings along", hint)


def _brought_along() -> set[str]:
    return {path.parent.name for path in shipped("inventory").glob("*/site.yaml")}


def _labs_here() -> set[str]:
    labs = state_home() / "labs"
    return {path.name for path in labs.iterdir()} if labs.is_dir() else set()
