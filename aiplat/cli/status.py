"""`aiplat status`; how it is shown is in status_tables."""

from __future__ import annotations

import typer

from aiplat.cli.arguments import JsonOption, SiteArgument


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="status")(status)


def status(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Show a site plane by plane, with what needs attention first.

    Looks at the cluster only; `aiplat verify` tries things, `aiplat plan` compares the hosts. Exit codes: 0
    it could look, whatever it saw, 1 the cluster cannot be asked or is not there yet, 2 bad input.
    """
    # What reaches a cluster takes a second to load: only this verb pays for it.
    from aiplat.cli.status_tables import show_status  # noqa: PLC0415

    show_status(site, as_json=as_json)
