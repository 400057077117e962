"""`aiplat verify`; how it is shown is in verify_tables."""

from __future__ import annotations

import typer

from aiplat.cli.arguments import JsonOption, SiteArgument


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="verify")(verify)


def verify(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Run every check of a site: each is a sentence, and the answer is OK, FAIL or SKIP.

    Nothing is changed. Connections that policies should refuse are tried from inside the pods; each model is
    asked a question with one right answer. Exit codes: 0 nothing is wrong, 3 a check found something wrong.
    """
    # What reaches a cluster takes a second to load: only this verb pays for it.
    from aiplat.cli.verify_tables import show_report  # noqa: PLC0415

    show_report(site, as_json=as_json)
