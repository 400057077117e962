"""The `aiplat lab` verbs: hosts on this machine."""

from __future__ import annotations

import typer

lab_app = typer.Typer(no_args_is_help=True, help="Make, look at and remove hosts on this machine.")


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.add_typer(lab_app, name="lab")
