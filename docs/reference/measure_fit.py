"""Writes fit-measured.md from files of recorded cases: the planner's errors, in both halves."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiplat.fit.cases import RAN, in_fitting_half, is_throughput, judge_memory, read_cases, table
from aiplat.fit.held_out import held_out, serving_runs
from aiplat.fit.knowledge import constant
from aiplat.fit.speeds import judge_throughput

HERE = Path(__file__).parent
Rows = list[dict[str, Any]]
_HOW_MEMORY = """An error is a fraction of what was recorded, without its sign. For llama.cpp and Ollama the
whole is compared: weights, cache and buffers as logged. For vLLM all logged parts of its reserved share are,
which is easy where all were logged, or the tokens of its pool, which is not: see the parts. The rules were
read off engines' sources, documents and logs, these logs too; only the constants are kept to one half, so
neither half is a test of the rules by runs that nobody had seen."""


def page(files: list[Path]) -> str:
    """Return the text about how well the planner does on these files."""
    cases: Rows = []
    shapes: dict[str, Any] = {}
    for file in files:
        found, more = read_cases(file)
        cases, shapes = cases + found, {**shapes, **more}
    memory = judge_memory([case for case in cases if not is_throughput(case)], shapes)
    speed = judge_throughput([case for case in cases if is_throughput(case)], shapes)
    return "\n".join([*_memory(memory), *_verdicts(memory), *_speed(speed), *_held_out()]) + "\n"


def _memory(report: Mapping[str, Any]) -> list[str]:
    rows: Rows = report["cases"]
    assumed = [{**row, "counted": not row["counted"]} for row in rows]
    return [
        "## How far off memory is",
        f"{len(rows)} recorded runs of real machines, from public threads and logs. "
        f"{len(report['incomplete'])} of them lack an input (quantisation, context, share, card) or "
        "recorded nothing that can be compared; they are not in the first tables.",
        "",
        _HOW_MEMORY,
        "",
        *_halves("engine", rows, "engine"),
        "",
        "Parts of the same runs:",
        "",
        *_table("part", report["quantities"]),
        "",
        "Runs that lack an input, with what the engine does by itself in its place (`assumed`):",
        "",
        *_table("engine", table(assumed, lambda row: str(row["engine"]))),
        "",
    ]


def _verdicts(report: Mapping[str, Any]) -> list[str]:
    tight = report["tight_that_ran"]
    refused = report["false_refusals"]
    unsaid = set(report["no_verdict"])
    judged = sum(row["outcome"] == RAN and row["id"] not in unsaid for row in report["cases"])
    share = (len(tight) + len(refused)) / max(1, judged)
    return [
        "## Verdicts",
        "| | runs |",
        "|---|---|",
        f"| called `fits`, but failed, fell back or were cut | {len(report['false_fits'])} |",
        f"| ran as asked, but refused | {len(refused)}: {', '.join(f'`{i}`' for i in refused)} |",
        f"| ran as asked, but called `tight` | {len(tight)}: {', '.join(f'`{i}`' for i in tight)} |",
        f"| ran as asked, refused or `tight` | {share:.0%} of {judged} with a verdict |",
        f"| ran as asked, no verdict: the card or its memory is not said | {report['ran'] - judged} |",
        f"| failed, no verdict for the same reason | {len(unsaid) - (report['ran'] - judged)} |",
        "",
    ]


def _speed(report: Mapping[str, Any]) -> list[str]:
    rows: Rows = report["cases"]
    within, outside = len(report["within_range"]), len(report["outside_range"])
    return [
        "## How far off speed is",
        f"{len(rows)} recorded speeds; {within} of {within + outside} lie in the predicted range.",
        "",
        *_halves("kind", rows, "quantity"),
        "",
        *_table("engine", report["engines"]),
    ]


def _held_out() -> list[str]:
    """Return how far many requests at once are off on sources that the constants were not fitted on."""
    files = (HERE.parents[1] / f"tests/fit/{name}.yaml" for name in ("served", "h200"))
    runs = serving_runs(case for file in files for case in read_cases(file)[0])
    ratios = held_out(runs)
    low, high = (1 + constant("serving", f"spread_{end}") for end in ("high", "low"))
    told = sum(1 / low <= ratio <= high for ratio in ratios.values())
    rows = [{"source": run.source, "counted": True, "error": ratios[run.id] - 1} for run in runs]
    return [
        "",
        "## Many requests at once, a source at a time held out",
        f"{len(runs)} runs of [others](../../tests/fit/served.yaml) and [ours](../../tests/fit/h200.yaml): "
        "for each source the constants are fitted on the rest. "
        f"{told} of {len(runs)} lie in the range that is told.",
        "",
        *_table("source", table(rows, lambda row: str(row["source"])) | table(rows, lambda _row: "all")),
    ]


def _halves(title: str, rows: Rows, key: str) -> list[str]:
    lines = [f"| {title} | half | n | median | 90 of 100 | worst |", "|---|---|---|---|---|---|"]
    for name, wanted in (("constants fitted on it", True), ("not looked at by the fit", False)):
        half = [row for row in rows if in_fitting_half(str(row["id"])) == wanted]
        for group, row in table(half, lambda row: str(row[key])).items():
            lines.append(f"| {group} | {name} | {_numbers(row)} |")
    return lines


def _table(title: str, groups: Mapping[str, Any]) -> list[str]:
    head = [f"| {title} | n | median | 90 of 100 | worst |", "|---|---|---|---|---|"]
    return head + [f"| {name} | {_numbers(row)} |" for name, row in groups.items()]


def _numbers(row: Mapping[str, Any]) -> str:
    return f"{row['n']} | " + " | ".join(f"{row[key]:.1%}" for key in ("median", "p90", "worst"))


if __name__ == "__main__":
    (HERE / "fit-measured.md").write_text(page([Path(name) for name in sys.argv[1:]]))
