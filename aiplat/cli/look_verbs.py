"""What status and verify print; what is true is found out by aiplat.actions."""

from __future__ import annotations

import threading
from collections.abc import Callable

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aiplat.actions.status import status
from aiplat.actions.verify import verify
from aiplat.cli.ending import print_json
from aiplat.cli.look_tables import report_table, status_view
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_CHECK_FAILED, EXIT_FAILED
from aiplat.site.find import find_site
from aiplat.site.load import load_site
from aiplat.verify.report import Report, Result
from aiplat.verify.run import OnResult


def show_status(argument: str | None, *, as_json: bool) -> None:
    """Print a site's status, and exit with 1 where its cluster could not be asked."""
    found = status(load_site(find_site(argument)))
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
    else:
        Console(highlight=False).print(status_view(found))
    if not found.reached:
        raise typer.Exit(EXIT_FAILED)


def show_report(argument: str | None, *, as_json: bool) -> None:
    """Run the checks, print the report, and exit with 3 where one found something wrong."""
    site = load_site(find_site(argument))
    report = _with_progress(lambda seen: verify(site, seen))
    if as_json:
        print_json(report.model_dump(mode="json", by_alias=True))
    else:
        Console(highlight=False).print(report_table(report))
    if not report.good:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _with_progress(run: Callable[[OnResult], Report]) -> Report:
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    one_at_a_time = threading.Lock()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def seen(_result: Result, total: int) -> None:
            with one_at_a_time:
                progress.update(task, advance=1, total=total)

        return run(seen)
