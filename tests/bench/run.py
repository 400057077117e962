"""`make bench`: starts the peers, measures them and writes the report; how is in scenarios and peers."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import outage, peers, planner, prefixes
from tests.bench.report import Run, write_report
from tests.bench.scenarios import measure, save, scenarios
from tests.services.postgresql import PostgresServer

_PREFIX_REQUESTS = 16


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load per scenario, peer and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="scenarios whose name begins so")
    parser.add_argument("--outage", type=float, default=60, help="seconds without database; 0 leaves it out")
    parser.add_argument("--without-litellm", action="store_true", help="to look at ours alone")
    parser.add_argument("--without-ollama", action="store_true", help="leave prefix routing out")
    parser.add_argument("--report", type=Path, help="where the report goes (none without)")
    parser.add_argument("--raw", type=Path, help="where the numbers go as JSON")
    return parser.parse_args()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress


def _measure(given: argparse.Namespace) -> tuple[Run, outage.Outage | None]:
    todo = tuple(
        s for s in scenarios(given.seconds) if not given.only or s.name.startswith(tuple(given.only))
    )
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aiplat-bench-")))
        server = PostgresServer()
        stack.callback(server.remove)
        server.start()
        url = server.new_database()
        direct = stack.enter_context(peers.upstream(folder))
        ours = stack.enter_context(peers.gateway(folder, direct, url))
        found = [direct, ours]
        if not given.without_litellm:
            found.append(stack.enter_context(peers.litellm(folder, direct)))
        idle = {p.name: p.memory_mb() for p in found}
        began = time.monotonic()
        results = measure(found, todo, given.rounds, _tell)
        after = {p.name: p.memory_mb() for p in found}
        run = Run(results, idle, after, given.rounds, given.seconds, (time.monotonic() - began) / 60)
        return run, outage.measure(server, url, ours, given.outage) if given.outage else None


def main() -> int:
    """Run what was asked for; returns 0."""
    given = _arguments()
    # Whatever is not said to run elsewhere, the database among it, leaves the gateway's core alone.
    os.sched_setaffinity(0, {peers.OTHER_CORE})
    run, away = _measure(given)
    sections = [outage.section(away)] if away else []
    if given.report:
        sections.append(planner.section(planner.measure()))
    if not given.without_ollama and (
        found := prefixes.measure(min(2, given.rounds), _PREFIX_REQUESTS, _tell)
    ):
        sections.append(prefixes.section(found, _PREFIX_REQUESTS))
    if given.raw:
        save(run.results, run.idle, given.raw)
    if given.report:
        write_report(given.report, run, sections)
    return 0


if __name__ == "__main__":
    sys.exit(main())
