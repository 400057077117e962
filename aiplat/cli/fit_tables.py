"""Prints the planner's answers and error tables for people; decides nothing."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_STYLES = {"fits": "green", "tight": "yellow", "does not fit": "red"}
_GIB = 1 << 30


def print_answer(console: Console, answer: dict[str, Any]) -> None:
    """Print one answer: verdict, devices, reasons, what else would fit, speed."""
    model, memory = answer["model"], answer["memory"]
    verdict = answer["verdict"]
    told = f"{model['name']} {model['quantisation']} on {answer['engine']}, {memory['context']} tokens"
    console.print(f"{told}: {verdict}", style=_STYLES.get(verdict, ""), markup=False)
    table = Table("device", "needs", "of", box=None, pad_edge=False)
    for load in memory["devices"]:
        capacity = f"{load['capacity'] / _GIB:.1f} GiB" if load["capacity"] else "not said"
        table.add_row(load["device"], f"{load['need'] / _GIB:.1f} GiB", capacity)
    console.print(table)
    for word, lines in (
        ("why", answer["why"]),
        ("would fit", answer["remedies"]),
        ("assumed", answer["assumed"]),
    ):
        for line in lines:
            console.print(f"{word}: {line}", markup=False)
    for kind, speed in answer["tok_s"].items():
        if speed:
            span = f"{speed['low']:.3g} to {speed['high']:.3g} tokens/s, likely {speed['likely']:.3g}"
            console.print(f"speed, {kind.replace('_', ' ')}: {span}")


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Print the error table of a file of cases and the ids that were called wrongly."""
    table = Table("engine", "n", "median", "p90", "worst", box=None, pad_edge=False)
    for engine, row in report["engines"].items():
        table.add_row(engine, str(row["n"]), *(f"{row[key]:.1%}" for key in ("median", "p90", "worst")))
    console.print(table)
    for key in ("false_fits", "false_refusals", "tight", "incomplete"):
        ids = report.get(key, [])
        console.print(f"{key.replace('_', ' ')}: {len(ids)} {' '.join(map(str, ids))}", markup=False)
