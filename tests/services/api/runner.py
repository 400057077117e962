"""Stands in for `aiplat bootstrap` where tests start runs: a real run with a real journal, that does nothing.

Takes the same command line. It waits inside its step until the file that AIPLAT_TEST_GO names is there, and
fails there if that says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from aiplat.errors import AiplatError, Finding
from aiplat.runs.events import Event, PlanMade, StepFinished, StepStarted
from aiplat.runs.run import running
from aiplat.site.load import load_site
from tests.patience import until


def bootstrap(site: Path, plan: str, run_id: str) -> None:
    """Make the run."""
    with running(load_site(site).name, "bootstrap", _ignore, run_id) as run:
        run.emit(PlanMade(digest=plan, plan={}))
        run.emit(StepStarted(step="stage", title="Wait", hosts=("s1",)))
        run.current_step = "stage"
        _wait_for(Path(os.environ["AIPLAT_TEST_GO"]))
        run.emit(StepFinished(step="stage"))


def _wait_for(go: Path) -> None:
    until(go.exists, lambda: "nobody said go")
    if go.read_text() == "fail":
        raise AiplatError(Finding("s1", "was told to fail", "nothing helps"))


def _ignore(_event: Event) -> None:
    """Nobody looks on."""


def main() -> None:
    """Read the command line, which is as the API writes it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["bootstrap"])
    parser.add_argument("site", type=Path)
    for flag in ("--yes", "--json"):
        parser.add_argument(flag, action="store_true", required=True)
    parser.add_argument("--plan", required=True)
    parser.add_argument("--run-id", required=True)
    given = parser.parse_args()
    try:
        bootstrap(given.site, given.plan, given.run_id)
    except AiplatError as error:
        print(*error.findings, sep="\n", file=sys.stderr)  # noqa: T201 - as the command line does
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
