"""Begins a component: a folder that is complete and passes the house tests; what it does is its author's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from aiplat.catalog.catalog import read_catalog
from aiplat.errors import BadInput, Finding
from aiplat.shipped import shipped
from aiplat.site.findings import did_you_mean
from aiplat.site.references import NAME

_PURPOSE = "Waits until it is ended."
_PLACE = re.compile(r"@(NAME|PLANE|IDENTIFIER|PURPOSE)@")


def new_component(plane: str, name: str, charts: Path | None = None) -> Path:
    """Write `<charts>/<plane>/<name>` and return it; `charts` is the checkout's where none is given.

    Raises:
        BadInput: the plane is not known, the name cannot be one or is taken, or there is no checkout.
    """
    charts = charts or _of_the_checkout()
    catalog = read_catalog(charts)
    planes = [known.name for known in catalog.planes]
    if plane not in planes:
        raise BadInput(Finding(plane, "is not a plane", did_you_mean(plane, planes)))
    if not NAME.fullmatch(name):
        raise BadInput(
            Finding(name, "is not a component's name", "use lower-case letters, digits and dashes")
        )
    if catalog.component(name) or (charts / plane / name).exists():
        raise BadInput(Finding(name, "is a component already", "choose another name"))
    said = {"NAME": name, "PLANE": plane, "IDENTIFIER": name.replace("-", "_"), "PURPOSE": _PURPOSE}
    folder = charts / plane / name
    shutil.copytree(charts / "_new", folder)
    for path in (p for p in folder.rglob("*") if p.is_file()):
        text = path.read_text(encoding="utf-8")
        path.write_text(_PLACE.sub(lambda found: said[found[1]], text), encoding="utf-8")
    return folder


def _of_the_checkout() -> Path:
    charts = shipped("charts")
    if charts.parent.name == "_shipped":
        problem = "this is an installed aiplat, which cannot be added to"
        raise BadInput(
            Finding(str(charts), problem, "run it in a checkout, or name one's charts with --charts")
        )
    return charts
