"""`aiplat verify`; how it is shown is in verify_tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiplat.cli.arguments import JsonOption, SiteArgument
from aiplat.errors import BadInput, Finding

_Egress = Annotated[bool, typer.Option("--egress", help="Count what tries to leave the site instead.")]
_For = Annotated[str, typer.Option("--for", help="How long to record with --egress: 90s, 10m, 2h, 1d.")]
_Report = Annotated[Path | None, typer.Option(help="A file for what --egress saw, as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="verify")(verify)


def verify(
    site: SiteArgument = None,
    egress: _Egress = False,
    span: _For = "1m",
    report: _Report = None,
    as_json: JsonOption = False,
) -> None:
    """Run every check of a site: each is a sentence, and the answer is OK, FAIL or SKIP.

    Nothing is changed. Connections that policies should refuse are tried from inside the pods; each model is
    asked a question with one right answer. Exit codes: 0 nothing is wrong, 3 a check found something wrong.

    With --egress it runs no checks. It records on every host, for as long as --for says or until Ctrl-C, what
    begins there and goes to outside of the site: pod or process, address, port, and the names that are asked
    for. Let it run beside whatever is to be shown; 3 means that there was an attempt, or a host was not
    recorded to the end. Network policies may have refused it: what left a host is counted apart.
    """
    if egress:
        from aiplat.cli.verify_egress import show_egress  # noqa: PLC0415

        show_egress(site, span, report, as_json=as_json)
        return
    if report:
        raise BadInput(Finding("--report", "is for --egress", "say --egress as well, or take --json"))
    # What reaches a cluster takes a second to load: only this verb pays for it.
    from aiplat.cli.verify_tables import show_report  # noqa: PLC0415

    show_report(site, as_json=as_json)
