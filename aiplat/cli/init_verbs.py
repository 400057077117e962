"""What `aiplat init` does and prints once it knows its hosts; the looking is in aiplat.actions.init."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiplat.actions.init import Draft, draft_site, save
from aiplat.actions.named_hosts import site_of
from aiplat.cli.contact import AtTerminal
from aiplat.cli.doctor_hosts import report_view
from aiplat.cli.ending import print_json
from aiplat.cli.reaching import meet, waiting
from aiplat.cli.terminal import Console
from aiplat.hosts.check import BLOCKER
from aiplat.state import expanded


@dataclass(frozen=True)
class InitOptions:
    """What was asked for."""

    hosts: tuple[str, ...]
    name: str
    output: Path
    key: Path | None


def write_site(wanted: InitOptions, dialogue: AtTerminal, *, as_json: bool) -> bool:
    """Look at the hosts, write the file, and return whether they can be bootstrapped as they are."""
    named = site_of(wanted.name, wanted.hosts, expanded(wanted.key).resolve() if wanted.key else None)
    meet(named, dialogue)
    console = Console(stderr=True, highlight=False)
    with waiting("looking at the hosts"):
        draft = draft_site(named)
    save(draft, wanted.output)
    if as_json:
        print_json(draft.document(wanted.output))
    else:
        console.print(report_view(draft.report))
        console.print("\n".join(_next(draft, wanted.output)), soft_wrap=True, markup=False)
    return not any(verdict.of(BLOCKER) for verdict in draft.report.verdicts)


def _next(draft: Draft, output: Path) -> list[str]:
    """Return what was written and where to go on."""
    model = f"it will serve {draft.model.model}" if draft.model else "no model fits these hosts"
    blocked = any(verdict.of(BLOCKER) for verdict in draft.report.verdicts)
    argument = "" if output == Path("site.yaml") else f" {output}"
    then = f"`aiplat doctor hosts{argument}` until no blocker is left, then " if blocked else ""
    return [f"{output} is written: site {draft.site}, {model}", f"next: {then}`aiplat bootstrap{argument}`"]
