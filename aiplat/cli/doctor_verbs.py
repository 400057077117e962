"""What `aiplat doctor` prints: tables for people, JSON for programs; it decides nothing."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aiplat.cli.contact import AtTerminal
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_CHECK_FAILED, EXIT_DONE, EXIT_FAILED
from aiplat.gpu.decision import Decision
from aiplat.gpu.facts import read_facts
from aiplat.gpu.judge import UNKNOWN, Judgement, judge
from aiplat.hosts.paths import paths_of
from aiplat.plan.gpus import decision_on


def show_facts(path: Path, *, as_json: bool) -> int:
    """Judge a file of recorded facts, print the judgement, and return the exit code."""
    facts = read_facts(path)
    judgement = judge(facts, paths_of(None).k3s)
    decision = decision_on(judgement.verdict, facts)
    if as_json:
        print_json({**judgement.as_json(), "decision": decision.as_json()})
    else:
        Console(highlight=False).print(Group(judgement_view(judgement), Text(decision_line(decision))))
    return EXIT_DONE if judgement.is_healthy else EXIT_CHECK_FAILED


def show_site(argument: str | None, dialogue: AtTerminal, *, as_json: bool) -> int:
    """Judge a site's hosts, print one row each, and return the exit code."""
    from aiplat.actions.doctor import judge_site  # noqa: PLC0415 - reaching hosts takes a second to load
    from aiplat.cli.reaching import meet, waiting  # noqa: PLC0415
    from aiplat.site.find import find_site  # noqa: PLC0415
    from aiplat.site.load import load_site  # noqa: PLC0415

    site = load_site(find_site(argument))
    meet(site, dialogue)
    with waiting(f"looking at {site.place}"):
        verdicts = judge_site(site)
    if as_json:
        hosts = [verdict.as_json() for verdict in verdicts]
        print_json(
            {"apiVersion": "aiplat.dev/v1alpha1", "kind": "GpuReport", "site": site.name, "hosts": hosts}
        )
    else:
        table = _table("Host", "Verdict", "Cause", "Fix")
        for verdict in sorted(verdicts, key=lambda v: v.good):
            judgement = verdict.judgement
            fix = [] if verdict.good else [judgement.fix]
            fix += [decision_line(verdict.decision)] if verdict.decision and not verdict.good else []
            cells = (Text(judgement.cause), Text("\n".join(fix)))
            table.add_row(verdict.host, _mark(judgement, verdict.good), *cells)
        Console(highlight=False).print(table)
    if not all(verdict.looked_at for verdict in verdicts):
        return EXIT_FAILED
    return EXIT_DONE if all(verdict.good for verdict in verdicts) else EXIT_CHECK_FAILED


def decision_line(decision: Decision) -> str:
    """Return what `aiplat bootstrap` does about a host's verdict, or why it does nothing."""
    begins = {"act": "bootstrap will", "refused": "bootstrap refuses", "elsewhere": "bootstrap does"}
    return f"{begins.get(decision.outcome, 'bootstrap has')}: {decision.text}"


def judgement_view(judgement: Judgement) -> RenderableType:
    """Return a judgement with the passages it rests on."""
    parts: list[RenderableType] = [
        Text.assemble("verdict: ", _mark(judgement, judgement.is_healthy)),
        Text(f"cause: {judgement.cause}"),
        Text(f"fix: {judgement.fix}"),
    ]
    if judgement.evidence:
        table = _table("Seen", "By")
        for passage in judgement.evidence[:6]:
            table.add_row(Text(passage.quote), Text(passage.command, style="dim"))
        parts.append(table)
    parts += [Text(f"then {also.verdict}: {also.fix}") for also in judgement.also]
    return Group(*parts)


def _mark(judgement: Judgement, good: bool) -> Text:
    style = "green" if good else "yellow" if judgement.verdict == UNKNOWN else "bold red"
    return Text(judgement.verdict, style=style)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
