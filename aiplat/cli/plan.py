"""The `aiplat plan` verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiplat.cli.arguments import SiteArgument
from aiplat.cli.contact import AcceptOption, AtTerminal, PasswordOption


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="plan")(plan)


def plan(  # noqa: PLR0913, PLR0917 - one parameter an option
    site: SiteArgument = None,
    as_json: Annotated[bool, typer.Option("--json", help="The plan as one JSON document.")] = False,
    supply: Annotated[
        str | None, typer.Option(help="auto, packages, upstream or bundle:PATH instead of the site's own.")
    ] = None,
    accept_keys: AcceptOption = False,
    ask_password: PasswordOption = False,
    svg: Annotated[Path | None, typer.Option(hidden=True, help="Write the plan as a picture.")] = None,
) -> None:
    """Look at a site's hosts and show what `aiplat bootstrap` would do there and why; changes nothing.

    Each line is a step on a host with its reason, the units it restarts and the bytes it moves.
    "nothing to do" is an answer. What forbids carrying the plan out is said below it, all at once.

    Exit codes: 0 shown, 1 a host could not be looked at, 2 the plan may not be carried out.
    """
    # Ansible's libraries take half a second to load: only this verb pays for them.
    from aiplat.cli.run_verbs import RunOptions, run_plan  # noqa: PLC0415

    dialogue = AtTerminal(accept=accept_keys, ask=ask_password, silent=as_json)
    run_plan(RunOptions(site, supply, as_json, svg, dialogue))
