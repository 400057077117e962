"""Writes what was measured as a page that says how, on what machine, and against what."""
# ruff: noqa: E501 - the lines of a page are as long as they are read best

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench.peers import litellm_version
from tests.bench.scenarios import Measured, Results, percentile

_NONE = "-"
BY_HAND, END = "<!-- by hand: kept by make bench -->", "<!-- end -->"
"""What stands between them on the page was measured by hand, and stays."""


@dataclass(frozen=True)
class Run:
    """One run of the benchmarks: its results, memory before and after in MB, and how it was made."""

    results: Results
    idle: dict[str, float]
    after: dict[str, float]
    rounds: int
    seconds: float
    minutes: float

    @property
    def peers(self) -> list[str]:
        """The names of what was measured, `direct` first."""
        return list(next(iter(self.results.values())))

    def of(self, *scenarios: str) -> Iterator[tuple[str, dict[str, Measured], str]]:
        """Yield scenario, its results and peer, for those of the scenarios that were run."""
        for name in scenarios:
            for peer in self.peers if name in self.results else ():
                yield name, self.results[name], peer


def write_report(path: Path, run: Run, sections: Iterable[str] = ()) -> None:
    """Write the page; `sections` are added at its end, and after them what it had by hand."""
    parts = [
        "# Benchmarks\n",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d} on {_machine()}; it took {run.minutes:.0f} minutes.\n"
        "Absolute numbers are this machine's; the ratios say more.\n",
        _method(run),
        "## In short\n",
        "\n".join(_in_short(run)) + "\n",
        "## Whole answers\n",
        _table(
            "connections|peer|p50 ms|p99 ms|added p50|added p99|requests/s|CPU µs each|failed", _whole(run)
        ),
        _STREAMS,
        _table(
            "scenario|peer|first frame p50 ms|p99 ms|frames/s|stream p50 ms|p99 ms|wrong|failed",
            _streams(run),
        ),
        "## Long prompts\n\nOne connection; a token is taken as four characters.\n",
        _table("tokens|peer|p50 ms|p99 ms|added p50", _prompts(run)),
        "## Memory\n\nMB of proportional set size, with all processes of a peer.\n",
        _table("peer|at rest|most under load|afterwards", _memory(run)),
        *sections,
        *by_hand(path.read_text() if path.exists() else ""),
    ]
    path.write_text("\n".join(parts))


def by_hand(page: str) -> list[str]:
    """Return the parts of a page that were written by hand, with their markers.

    Raises:
        ValueError: one does not end.
    """
    parts = page.split(BY_HAND)[1:]
    if any(END not in part for part in parts):
        raise ValueError(f"a part after `{BY_HAND}` has no `{END}`")
    return [f"{BY_HAND}{part.partition(END)[0]}{END}\n" for part in parts]


_STREAMS = """\
## Streams

64 frames at once over 1 and over 32 connections; 100 streams of 50 frames, one every 20 ms, which take 1,000 ms where
nothing is in between. A stream that has not as many frames as the upstream sent counts as wrong; LiteLLM writes frames
again and their number may differ by design.
"""


def _machine() -> str:
    def first(path: str, begins: str) -> str:
        lines = Path(path).read_text().splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith(begins)), "?")

    gib = int(first("/proc/meminfo", "MemTotal").split()[0]) // (1 << 20)
    processor = f"{os.cpu_count()} cores of {first('/proc/cpuinfo', 'model name')}"
    return f"{processor}, {gib} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def _method(run: Run) -> str:
    return f"""\
## How

- One upstream for all ([upstream.py](../tests/bench/upstream.py)): it answers at once and computes nothing.
- Each gateway is one process on core 0. Upstream and load share core 1: the row `direct` is the most they can do.
- {run.rounds} rounds of {run.seconds:g} s for each scenario and peer; peers take turns within a round and change places between.
- `aiplat`: uvicorn {version("uvicorn")}, aiohttp {version("aiohttp")}, plain HTTP, with a team, keys, rates, six budgets each, prices, usage in PostgreSQL, metrics and audit on.
- `litellm`: LiteLLM's proxy {litellm_version()}, one worker, a master key, no database, in an environment of its own that
  [bench.txt](../locks/bench.txt) pins by hash. It does more for each request than ours.
- "added" is the difference of percentiles to `direct`; latencies are of answers that came whole.
"""


def _table(head: str, rows: Iterable[list[str]]) -> str:
    cells = head.split("|")
    lines = [cells, ["---"] * len(cells), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _added(measured: dict[str, Measured], peer: str, share: float) -> float:
    return percentile(measured[peer].ms, share) - percentile(measured["direct"].ms, share)


def _in_short(run: Run) -> Iterator[str]:
    yield "| what | measured | goal |\n|---|---|---|"
    one, many, streams = (run.results.get(name) for name in ("json c1", "json c64", "stream c32"))
    if one:
        p50, p99 = _added(one, "aiplat", 0.5), _added(one, "aiplat", 0.99)
        yield f"| added to one connection's requests, p50 and p99 | {p50:.2f} and {p99:.2f} ms | ≤ 0.5 and 3 ms |"
    if many:
        yield f"| requests/s over 64 connections | {many['aiplat'].per_second:,.0f} | ≥ 3,500 |"
    if streams:
        yield f"| frames/s over 32 streams | {streams['aiplat'].frames_per_second:,.0f} | ≥ 100,000 |"
    most = max(m["aiplat"].memory for m in run.results.values())
    yield f"| memory, at rest and under load | {run.idle['aiplat']:.0f} and {most:.0f} MB | ≤ 100 MB |"
    if "litellm" in run.peers and one and many and streams:
        requests = many["aiplat"].per_second / many["litellm"].per_second
        added = _added(one, "litellm", 0.5) / max(0.01, _added(one, "aiplat", 0.5))
        frames = streams["aiplat"].frames_per_second / streams["litellm"].frames_per_second
        yield f"| requests/s against LiteLLM | {requests:.0f} times | ≥ 50 times |"
        yield f"| added latency, LiteLLM's against ours | {added:.0f} times | |"
        yield f"| frames/s against LiteLLM | {frames:.0f} times | |"


def _whole(run: Run) -> Iterator[list[str]]:
    for name, measured, peer in run.of("json c1", "json c16", "json c64"):
        m, direct = measured[peer], peer == "direct"
        added = [_NONE if direct else f"{_added(measured, peer, share):.2f}" for share in (0.5, 0.99)]
        each = _NONE if direct else f"{1e6 * m.cpu / max(1, m.requests):,.0f}"
        times = [f"{percentile(m.ms, share):.2f}" for share in (0.5, 0.99)]
        yield [name.removeprefix("json c"), peer, *times, *added, f"{m.per_second:,.0f}", each, str(m.failed)]


def _streams(run: Run) -> Iterator[list[str]]:
    for name, measured, peer in run.of("stream c1", "stream c32", "paced c100"):
        m = measured[peer]
        first = [f"{percentile(m.first_ms, share):.2f}" for share in (0.5, 0.99)]
        whole = [f"{percentile(m.ms, share):,.1f}" for share in (0.5, 0.99)]
        wrong = f"{m.wrong_frames} of {m.requests}"
        yield [name, peer, *first, f"{m.frames_per_second:,.0f}", *whole, wrong, str(m.failed)]


def _prompts(run: Run) -> Iterator[list[str]]:
    for name, measured, peer in run.of("prompt 1k", "prompt 10k", "prompt 100k"):
        times = [f"{percentile(measured[peer].ms, share):.2f}" for share in (0.5, 0.99)]
        added = _NONE if peer == "direct" else f"{_added(measured, peer, 0.5):.2f}"
        yield [name.removeprefix("prompt "), peer, *times, added]


def _memory(run: Run) -> Iterator[list[str]]:
    for peer in run.peers[1:]:
        most = max(by_peer[peer].memory for by_peer in run.results.values())
        yield [peer, f"{run.idle[peer]:.0f}", f"{most:.0f}", f"{run.after[peer]:.0f}"]
