"""The `aiplat bootstrap` verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiplat.cli.arguments import JsonLinesOption, SiteArgument
from aiplat.cli.contact import AcceptOption, AtTerminal, PasswordOption


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="bootstrap")(bootstrap)


def bootstrap(  # noqa: PLR0913, PLR0917 - one parameter an option
    site: SiteArgument = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Carry the plan out without asking.")] = False,
    as_json: JsonLinesOption = False,
    supply: Annotated[
        str | None, typer.Option(help="auto, packages, upstream or bundle:PATH instead of the site's own.")
    ] = None,
    lab: Annotated[bool, typer.Option("--lab", help="Make the site's hosts on this machine.")] = False,
    plan: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Carry out this plan without asking, and refuse any other."),
    ] = None,
    accept_keys: AcceptOption = False,
    ask_password: PasswordOption = False,
    run_id: Annotated[str | None, typer.Option(hidden=True, help="The run's id.")] = None,
    svg: Annotated[
        Path | None, typer.Option(hidden=True, help="Write the plan and summary as a picture.")
    ] = None,
) -> None:
    """Bring a site's hosts from whatever they are to the whole platform, or on from where a run was cut off.

    Shows the plan and asks, then makes and checks the bundle, brings it to the hosts over SSH, installs
    what is missing or differs, and ends with checks and the model's own answer. Done again it changes
    nothing. Ctrl-C stops cleanly; the same command resumes.

    Exit codes: 0 done, 1 failed, 2 bad input, 3 a check found something wrong, 130 interrupted.
    """
    # Ansible's libraries take half a second to load: only this verb pays for them.
    from aiplat.actions.bootstrap import Options  # noqa: PLC0415
    from aiplat.cli.run_verbs import RunOptions, run_bootstrap  # noqa: PLC0415

    # Who names a plan has agreed to it.
    agreed = yes or plan is not None
    dialogue = AtTerminal(accept=accept_keys, ask=ask_password, silent=as_json)
    run_bootstrap(RunOptions(site, supply, as_json, svg, dialogue), Options(lab, plan, run_id), yes=agreed)
