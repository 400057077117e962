"""The arguments and options that many verbs share; no verb is here."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.errors import BadInput, Finding
from aiplat.site.models import Site

SITE_HELP = "A site.yaml, its folder, or a built-in site. Default: ./site.yaml, else lab."
SiteArgument = Annotated[str | None, typer.Argument(metavar="[SITE]", help=SITE_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
JsonLinesOption = Annotated[
    bool, typer.Option("--json", help="Events as JSON lines on standard output, a Summary last.")
]

SupplyOption = Annotated[
    str | None,
    typer.Option("--supply", metavar="NAME", help="upstream or packages, whatever the site file says."),
]


def with_supply(site: Site, supply: str | None) -> Site:
    """Return the site with the supply that was asked for on the command line, if one was.

    Raises:
        BadInput: there is no such supply.
    """
    if supply is None:
        return site
    if supply not in ("upstream", "packages"):
        raise BadInput(Finding("--supply", f"there is no supply {supply}", "write upstream or packages"))
    return site.model_copy(update={"supply": supply})
