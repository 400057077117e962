"""Which bundle an argument of `aiplat bundle` means: a bundle's own folder, or that of a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiplat.bundle.bundle import bundle_path, in_parts, not_a_bundle
from aiplat.bundle.document import DOCUMENT
from aiplat.errors import BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.load import load_site
from aiplat.site.models import Site

SiteOrBundle = Annotated[
    str | None, typer.Argument(metavar="[SITE]", help="A site.yaml, a built-in site, or a bundle's folder.")
]


def chosen_bundle(argument: str | None) -> Path:
    """Return the folder of the bundle that an argument means.

    Raises:
        BadInput: as `bundle_and_site`.
    """
    return bundle_and_site(argument)[0]


def bundle_and_site(argument: str | None) -> tuple[Path, Site | None]:
    """Return the folder of the bundle that an argument means, and the site if it means a site.

    Raises:
        BadInput: the site has none, or the folder has one in parts.
    """
    if argument is not None and (Path(argument) / DOCUMENT).is_file():
        return Path(argument), None
    if argument is not None and in_parts(Path(argument)):
        raise BadInput(not_a_bundle(Path(argument)))
    site = load_site(find_site(argument))
    path = bundle_path(site)
    if not path.is_dir():
        raise BadInput(Finding(str(path), "there is no bundle", "make one: aiplat bundle build"))
    return path, site
