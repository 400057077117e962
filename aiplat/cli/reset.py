"""The `aiplat reset` verb."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.cli.arguments import JsonLinesOption, SiteArgument
from aiplat.cli.contact import AcceptOption, AtTerminal, PasswordOption


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="reset")(reset)


def reset(  # noqa: PLR0913, PLR0917 - one parameter an option
    site: SiteArgument = None,
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Leave models' weights staged.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonLinesOption = False,
    accept_keys: AcceptOption = False,
    ask_password: PasswordOption = False,
) -> None:
    """Take everything off a site's hosts that bootstrap put there, and prove that it is gone.

    The hosts stay (a lab's too: `aiplat lab down` removes those). So do the site's vault and CA on this
    machine, so that keys and trust outlive a reset.

    Exit codes: 0 done, 1 failed or something is left, 2 bad input, 130 interrupted.
    """
    # Ansible's libraries take half a second to load: only this verb pays for them.
    from aiplat.cli.run_verbs import RunOptions, run_reset  # noqa: PLC0415

    dialogue = AtTerminal(accept=accept_keys, ask=ask_password, silent=as_json)
    run_reset(RunOptions(site, None, as_json, None, dialogue), keep_models=keep_models, yes=yes)
