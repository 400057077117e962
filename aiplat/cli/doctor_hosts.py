"""What `aiplat doctor hosts` prints: a table for people, JSON for programs; it decides nothing."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aiplat.actions.doctor_hosts import HostsReport, examine
from aiplat.actions.named_hosts import site_of
from aiplat.cli.contact import AtTerminal
from aiplat.cli.ending import print_json
from aiplat.cli.reaching import meet, waiting
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_CHECK_FAILED, EXIT_DONE, EXIT_FAILED
from aiplat.hosts.check import CHECKS, Severity
from aiplat.hosts.judge import RANK, Trouble, Verdict
from aiplat.site.find import built_in_sites, find_site
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.state import expanded

AD_HOC = "named-hosts"
"""The site that stands for hosts which are named without one; known host keys are kept under it."""
_STYLES: dict[Severity, str] = {"blocker": "bold red", "warning": "yellow", "note": "dim"}


def show_hosts(targets: list[str], key: Path | None, dialogue: AtTerminal, *, as_json: bool) -> int:
    """Look at a site's hosts or at those named, print what is wrong, and return the exit code."""
    site = target_site(targets, key)
    meet(site, dialogue)
    with waiting(f"looking at {site.place}"):
        report = examine(site)
    if as_json:
        print_json(report.document())
    else:
        Console(highlight=False).print(report_view(report))
    if not all(verdict.looked_at for verdict in report.verdicts):
        return EXIT_FAILED
    return EXIT_DONE if report.good else EXIT_CHECK_FAILED


def target_site(targets: list[str], key: Path | None) -> Site:
    """Return the site that the arguments name, or one of the hosts that they name."""
    if len(targets) > 1 or (targets and not _is_site(targets[0])):
        return site_of(AD_HOC, targets, key)
    return load_site(find_site(targets[0] if targets else None))


def _is_site(argument: str) -> bool:
    path = expanded(Path(argument))
    return argument in built_in_sites() or path.exists() or path.suffix in (".yaml", ".yml")


def report_view(report: HostsReport) -> RenderableType:
    """Return the report: each trouble with what to do about it, the worst first, and a count at the end."""
    troubles = [trouble for verdict in report.verdicts for trouble in verdict.troubles]
    told = [_trouble(trouble) for trouble in sorted(troubles, key=lambda trouble: RANK[trouble.severity])]
    return Group(*told, *(_line(verdict) for verdict in report.verdicts))


def _trouble(trouble: Trouble) -> RenderableType:
    mark = Text(f"{trouble.severity:8}", style=_STYLES[trouble.severity])
    cause = Text.assemble((trouble.host, "cyan"), f": {trouble.cause} ", (f"[{trouble.check}]", "dim"))
    table = Table.grid(padding=(0, 1))
    table.add_row(mark, cause)
    table.add_row("", Text(f"→ {trouble.fix}\n"))
    return table


def _line(verdict: Verdict) -> Text:
    if not verdict.looked_at:
        return Text(f"{verdict.host}: could not be looked at", style=_STYLES["blocker"])
    counts = {severity: len(verdict.of(severity)) for severity in RANK}
    told = [f"{number} {name}{'s' if number > 1 else ''}" for name, number in counts.items() if number]
    unseen = f", {len(verdict.unseen)} could not be seen" if verdict.unseen else ""
    asked = len(CHECKS) - len(verdict.unseen)
    text = f"{verdict.host}: {len(verdict.met)} of {asked} checks are met{unseen}"
    return Text(f"{text}; {', '.join(told)}" if told else text, style="green" if verdict.good else "")
