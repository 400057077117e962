"""Runs recorded speeds through the planner and counts how far it was off; predicts nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiplat.fit.cases import table
from aiplat.fit.request import Incomplete, Request, block, read_request
from aiplat.fit.throughput import Speed, batched, embedding, single_stream
from aiplat.fit.traffic import read_traffic

Case = Mapping[str, Any]


def judge_throughput(cases: Iterable[Case], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report over throughput cases: errors by engine and by kind, and each case with its range."""
    rows = [throughput_row(case, shapes) for case in cases]
    counted = [row for row in rows if row["counted"]]
    return {
        "engines": table(rows, lambda row: str(row["engine"])),
        "kinds": table(rows, lambda row: str(row["quantity"])),
        "all": table(rows, lambda _row: "all").get("all"),
        "within_range": [row["id"] for row in counted if row["in_range"]],
        "outside_range": [row["id"] for row in counted if not row["in_range"]],
        "incomplete": [row["id"] for row in rows if not row["counted"]],
        "cases": rows,
    }


def throughput_row(case: Case, shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return one case's predicted range beside the speed that was recorded."""
    row: dict[str, Any] = {
        "id": case.get("id"),
        "engine": str(case.get("engine")),
        "error": None,
        "counted": False,
    }
    request = read_request(case, shapes)
    if isinstance(request, Incomplete):
        return row | {"quantity": None, "missing": list(request.reasons)}
    kind, speed = predicted_speed(request, case)
    recorded = recorded_speed(case)
    if speed is None:
        return row | {
            "quantity": kind,
            "missing": [request.hardware.unclear or "the device's speed is not known"],
        }
    row |= {
        "quantity": kind,
        "predicted": {"tok_s": speed.likely, "low": speed.low, "high": speed.high},
        "assumed": list(request.assumed),
        "missing": [] if recorded else ["no speed in tokens a second was recorded"],
    }
    if recorded:
        error = speed.likely / recorded - 1
        row |= {"error": error, "counted": True, "in_range": speed.low <= recorded <= speed.high}
    return row


def predicted_speed(request: Request, case: Case) -> tuple[str, Speed | None]:
    """Return which kind of speed a case is about, and its prediction."""
    if request.arch.encoder:
        return "embedding", embedding(request)
    if case.get("mode") == "batched":
        return "batched", batched(request, read_traffic(case, request))
    return "single_stream", single_stream(request)


def recorded_speed(case: Case) -> float | None:
    """Return the tokens a second that a case recorded, None where it recorded something else."""
    measured = block(case, "measured")
    numbers = {k: float(v) for k, v in measured.items() if isinstance(v, int | float) and v > 0}
    if "input_tokens" in numbers and "run_seconds" in numbers:
        return numbers["input_tokens"] / numbers["run_seconds"]
    return numbers.get("decode_tok_s") or numbers.get("output_tok_s")
