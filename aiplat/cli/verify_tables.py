"""Checks on a terminal, with how far they are; what is true is found out by aiplat.actions.verify."""

from __future__ import annotations

import threading
from collections.abc import Callable

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from aiplat.actions.verify import verify
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_CHECK_FAILED
from aiplat.site.find import find_site
from aiplat.site.load import load_site
from aiplat.verify.report import Report, Result
from aiplat.verify.run import OnResult

_RESULT_STYLE = {"OK": "green", "FAIL": "bold red", "SKIP": "yellow"}


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


def report_table(report: Report) -> RenderableType:
    """Return the report: what is wrong first, then what could not be looked at, then what is well."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "Check", "Seen"):
        table.add_column(name, overflow="fold")
    ordered = [r for outcome in ("FAIL", "SKIP", "OK") for r in report.results if r.result == outcome]
    for result in ordered:
        table.add_row(
            Text(result.result, style=_RESULT_STYLE[result.result]), Text(result.sentence), _seen(result)
        )
    return Group(table, _totals(report))


def _seen(result: Result) -> Text:
    return Text(
        f"{result.detail}; {result.fix}" if result.fix else result.detail,
        style="dim" if result.result == "OK" else "",
    )


def _totals(report: Report) -> Text:
    counted = ", ".join(f"{len(report.of(o))} {o}" for o in ("OK", "FAIL", "SKIP"))
    return Text(f"site {report.site}: {counted}", style="green" if report.good else "bold red")
