"""The `aiplat` command: joins the verbs of the other cli modules and prints errors; does no work itself."""

from __future__ import annotations

import importlib
import sys

import typer
from rich.console import Console

from aiplat.errors import EXIT_INTERRUPTED, AiplatError

app = typer.Typer(
    name="aiplat",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn bare hosts into a local-first AI platform, and look at what is there.",
)

# A verb module is loaded here and nowhere else; each offers `register(app)`.
_VERBS = ("site", "catalog", "bundle", "lab", "plan", "bootstrap", "look", "reset")


def _load_verbs() -> None:
    for name in _VERBS:
        module = importlib.import_module(f"aiplat.cli.{name}")
        module.register(app)


def main() -> None:
    """Run the command line; findings go to stderr, one a line, and decide the exit code."""
    _load_verbs()
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app()
    except AiplatError as error:
        for finding in error.findings:
            errors.print(str(finding), style="red", markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors.print(
            "interrupted: nothing more was done; run the same command again to go on", style="yellow"
        )
        sys.exit(EXIT_INTERRUPTED)
