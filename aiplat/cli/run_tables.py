"""A plan and a summary as Rich renderables, on a terminal or in an SVG; they decide nothing."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from aiplat.actions.plan import PlanView
from aiplat.actions.summary import Summary
from aiplat.cli.terminal import Console
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import Plan, Step
from aiplat.state import home

_SVG_COLUMNS = 104
_NOTE_LENGTH = 120
_RESULT_STYLE = {"OK": "green", "FAIL": "bold red", "SKIP": "yellow"}


def plan_table(view: PlanView) -> RenderableType:
    """Return the plan: a line per step and host with its reason, then restarts, bytes and the digest."""
    plan = view.plan
    if plan.nothing_to_do:
        return Group(_nothing(view), *_warnings(view)) if view.warnings else _nothing(view)
    table = Table(
        box=box.SIMPLE_HEAD, title=f"Plan for site {plan.site}", title_justify="left", pad_edge=False
    )
    table.add_column("Step", style="bold", no_wrap=True)
    table.add_column("Host", style="cyan", no_wrap=True)
    table.add_column("Why", overflow="fold")
    table.add_column("Restarts", style="yellow")
    for step in plan.steps:
        for row in _rows(step):
            table.add_row(*row)
    return Group(table, *_warnings(view), _footer(view))


def _warnings(view: PlanView) -> list[Text]:
    return [Text(f"warning: {finding}", style="yellow") for finding in view.warnings]


def _nothing(view: PlanView) -> Text:
    """Return why there is no step: all is well, or nobody knows."""
    if not view.unseen:
        guest = [host.host for host in view.facts.hosts] == [OPERATOR]
        what = "the cluster is as the site wants it" if guest else "the hosts are as the site wants them"
        text = f"{view.plan.site}: nothing to do, {what}"
        return Text(text, style="green")
    seen = [host.host for host in view.facts.hosts if host.reachable]
    unseen = f"{', '.join(view.unseen)} could not be looked at, so what is to be done there is not known"
    known = f"nothing to do on {', '.join(seen)}; " if seen else ""
    return Text(f"{view.plan.site}: {known}{unseen}", style="yellow")


def _rows(step: Step) -> list[tuple[str, str, str, str]]:
    rows = []
    for position, host in enumerate(step.hosts):
        restarts = ", ".join(r.rpartition(" on ")[0] for r in step.restarts if r.endswith(f" on {host}"))
        rows.append((step.id if position == 0 else "", host, step.reason[host], restarts))
    return rows


def _footer(view: PlanView) -> Text:
    plan = view.plan
    if plan.verb == "reset":
        return Text(f"plan {plan.digest}", style="dim")
    moved = f"{size(_bytes(plan))} to move" if _bytes(plan) else "nothing to move"
    lines = [
        moved if view.lock.complete else "what is to be moved is known when the bundle is made",
        restarts_of(plan),
    ]
    if view.unseen:
        lines.append(f"not planned, because not looked at: {', '.join(view.unseen)}")
    if view.assumed:
        lines.append("the lab is not up yet: planned for hosts with nothing on them")
    return Text(f"{'; '.join(lines)}\nplan {plan.digest}", style="dim")


def restarts_of(plan: Plan) -> str:
    """Return how many units the plan restarts, in words."""
    count = sum(len(step.restarts) for step in plan.steps)
    return "no restarts" if not count else f"{count} restart{'' if count == 1 else 's'}"


def _bytes(plan: Plan) -> int:
    return sum(step.bytes_to_move for step in plan.steps)


def size(number: float) -> str:
    """Return bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            return f"{number:.0f} {unit}" if unit in {"B", "KiB"} else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError("unreachable: GiB is the last unit")


def summary_panel(summary: Summary, argument: str = "") -> RenderableType:
    """Return the last screen of a run: planes, checks, the model's words, where to go on.

    `argument` is what names the site on the command line.
    """
    parts: list[RenderableType] = []
    if summary.planes:
        parts.append(_planes(summary))
    if summary.checks:
        parts.append(_checks(summary))
    if summary.words:
        parts.append(_words(summary))
    if summary.verb == "reset":
        parts.append(_notes(summary))
    else:
        parts.append(_reach(summary, f" {argument}" if argument else ""))
    title = f"{summary.verb} {summary.site}: {_state(summary)}"
    style = "red" if summary.failed_checks or summary.state == "failed" else "green"
    return Panel(Group(*parts), title=title, title_align="left", border_style=style, padding=(1, 2))


def _state(summary: Summary) -> str:
    if summary.state == "declined":
        return "not carried out"
    changes = f"{summary.changed} change{'' if summary.changed == 1 else 's'}"
    count = len(summary.restarts)
    restarts = f", {count} restart{'' if count == 1 else 's'}" if count else ", no restarts"
    return f"{changes}{restarts}, {summary.seconds:.0f} s"


def _planes(summary: Summary) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(style="cyan")
    for plane in summary.planes:
        table.add_row(plane.title, ", ".join(plane.components))
    return table


def _checks(summary: Summary) -> Text:
    counts = {result: sum(c.result == result for c in summary.checks) for result in _RESULT_STYLE}
    text = Text("\nChecks  ", style="bold")
    for result, count in counts.items():
        if count:
            text.append(f"{count} {result}  ", style=_RESULT_STYLE[result])
    for check in summary.failed_checks:
        text.append(f"\n  FAIL {check.sentence.rstrip('.')}", style="red")
        text.append(f": {check.detail}" if check.detail else "", style="red")
    return text


def _words(summary: Summary) -> Text:
    words = summary.words
    if words is None:
        return Text()
    text = Text(f"\n{words.model}\n", style="bold")
    text.append(f"  {words.prompt}\n", style="dim")
    text.append(f"  {words.answer.strip()}", style="bold green")
    return text


def _notes(summary: Summary) -> Text:
    if not summary.notes:
        return Text("nothing of aiplat's is there", style="dim")
    lines = [note if len(note) <= _NOTE_LENGTH else f"{note[:_NOTE_LENGTH]}…" for note in summary.notes]
    journal = Text(f"\nall of it: the journal of run {summary.run}, or --json", style="dim")
    return Text("\n").join(
        [Text("What was looked for, and what of it was found and removed:"), *map(Text, lines), journal]
    )


def _reach(summary: Summary, argument: str) -> Text:
    text = Text("\nPlatform  ", style="bold")
    text.append(f"{summary.url}\n", style="underline")
    text.append("Key       ")
    text.append(f"in {_short(summary.key)}; ", style="dim")
    text.append(f'eval "$(aiplat env{argument})"', style="cyan")
    text.append(" sets it for any client\n", style="dim")
    text.append(f"Next      aiplat status{argument}   aiplat chat{argument}", style="dim")
    return text


def _short(path: str) -> str:
    own = f"{home()}/"
    return f"~/{path.removeprefix(own)}" if path.startswith(own) else path


def save_svg(path: Path, title: str, *parts: RenderableType) -> None:
    """Write what a terminal would show as a picture."""
    console = Console(
        record=True, file=io.StringIO(), width=_SVG_COLUMNS, force_terminal=True, highlight=False
    )
    for part in parts:
        console.print(part)
    # Rich names a font on a public server; a picture of ours asks nobody for anything.
    picture = re.sub(r"@font-face\s*\{.*?\}\s*", "", console.export_svg(title=title), flags=re.DOTALL)
    path.write_text(picture, encoding="utf-8")
