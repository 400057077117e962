"""The arguments and options that many verbs share, and how they print JSON; no verb is here."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

SITE_HELP = "A site.yaml, its folder, or a built-in site. Default: ./site.yaml, else lab."
SiteArgument = Annotated[str | None, typer.Argument(metavar="[SITE]", help=SITE_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
JsonLinesOption = Annotated[
    bool, typer.Option("--json", help="Events as JSON lines on standard output, a Summary last.")
]


def print_json(document: dict[str, Any]) -> None:
    """Print a document on standard output, as one line."""
    typer.echo(json.dumps(document, ensure_ascii=False))
