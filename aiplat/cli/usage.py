"""The `aiplat usage` verb: keys and teams with what they used and have left."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from aiplat.cli.arguments import JsonOption, SiteArgument


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="usage")(usage)


def usage(
    site: SiteArgument = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="From this day on (UTC). Default: since this month began."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each key and team used of a site's models, and what its budgets have left.

    The gateway writes every request down; half a second may be missing. Budgets count in their own day or
    month (UTC), whatever --since says. Requests one by one, by model and by day, are in the control API.

    Exit codes: 0 shown, 1 the gateway or its database cannot be asked, 2 bad input or no cluster yet.
    """
    # What looks into a cluster takes a second to load: only this verb pays for it.
    from aiplat.cli.usage_tables import show_usage  # noqa: PLC0415

    show_usage(site, since.date() if since else None, as_json=as_json)
