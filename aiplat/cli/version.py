"""`aiplat --version`, and nothing else that stands before a verb."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Annotated

import typer


def _say(asked: bool) -> None:
    if asked:
        typer.echo(f"aiplat {installed_version('aiplat')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_say, is_eager=True, help="Print the version and end.")
]


def before_a_verb(version: VersionOption = False) -> None:
    """Answer what is asked before any verb."""
