"""The `aiplat component` verb, for those who add to aiplat itself: prints; making is aiplat.actions'."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiplat.actions.component import new_component
from aiplat.cli.arguments import JsonOption
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console

component_app = typer.Typer(no_args_is_help=True, help="Add to what aiplat itself can install.")


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.add_typer(component_app, name="component")


@component_app.command()
def new(
    plane: Annotated[str, typer.Argument(help="Plane that it belongs to; see `aiplat catalog`.")],
    name: Annotated[str, typer.Argument(help="What it is called: lower-case letters, digits, dashes.")],
    charts: Annotated[
        Path | None,
        typer.Option(
            help="Folder charts/ of a checkout; by default the one that aiplat runs from.", exists=True
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the folder of a new component: it installs, passes the house tests, and does nothing yet.

    A site turns it on with `planes: {PLANE: {NAME: {state: on}}}`. CONTRIBUTING.md says what to change in it.
    For example:

      aiplat component new data feature-store

    Exit codes: 0 written, 2 the plane is not known or the name is taken.
    """
    folder = new_component(plane, name, charts)
    if as_json:
        print_json({"kind": "Summary", "changed": 1, "folder": str(folder)})
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{folder} is written", markup=False)
    console.print(
        "Next: its program and its chart, then `AIPLAT_GOLDEN=write pytest tests/charts tests/plan`"
    )
