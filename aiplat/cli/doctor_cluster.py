"""What `aiplat doctor cluster` prints: a line for each need, JSON for programs; it decides nothing."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from aiplat.actions.doctor_cluster import ClusterReport, examine_cluster
from aiplat.cli.ending import print_json
from aiplat.cli.reaching import waiting
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_CHECK_FAILED, EXIT_DONE

_STYLES = {"missing": "bold red", "unknown": "yellow", "met": "green"}


def show_cluster(kubeconfig: Path, context: str | None, *, as_json: bool) -> int:
    """Look at a cluster, print what it lacks, and return the exit code."""
    with waiting("looking at the cluster"):
        report = examine_cluster(kubeconfig, context)
    if as_json:
        print_json(report.document())
    else:
        _print(report)
    return EXIT_DONE if report.good else EXIT_CHECK_FAILED


def _print(report: ClusterReport) -> None:
    table = Table.grid(padding=(0, 2))
    for need in report.needs:
        said = Text(need.cause) if not need.fix else Text(f"{need.cause}\n→ {need.fix}")
        table.add_row(Text(need.result, style=_STYLES[need.result]), Text(need.name), said)
    console = Console(highlight=False)
    console.print(Text(f"{report.seen.server}: Kubernetes {report.seen.version}"))
    console.print(table)
