"""Runs a file of recorded cases through the planner and counts its errors; predicts nothing itself."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiplat.errors import BadInput, Finding
from aiplat.fit.measured import Comparison, compare
from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import FITS, INCOMPLETE, NO, TIGHT, MemoryPlan
from aiplat.fit.request import Incomplete, Request, block, read_request
from aiplat.site.yaml_file import read_document

RAN = "fits"
"""The outcome of a run that held the whole model as it was asked; all other outcomes did not."""


def read_cases(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the cases of a file and the architectures it brings along.

    Raises:
        BadInput: the file cannot be read or holds no cases.
    """
    document = read_document(path)
    if document.findings:
        raise BadInput(document.findings)
    data = document.data
    cases = data.get("cases") if isinstance(data, Mapping) else None
    if not isinstance(cases, list) or not all(isinstance(c, Mapping) for c in cases):
        raise BadInput(Finding(str(path), "has no list `cases`", "see docs/reference/fit.md for the form"))
    shapes = data.get("architectures") or {}
    if not isinstance(shapes, Mapping):
        raise BadInput(
            Finding(str(path), "`architectures` is not a map", "name each shape, as `cases` name it")
        )
    return [dict(case) for case in cases], dict(shapes)


def in_fitting_half(case_id: str) -> bool:
    """Say whether constants may be fitted on this case; a digest of its id decides, so it never moves."""
    return hashlib.sha256(case_id.encode()).digest()[0] % 2 == 0


def is_throughput(case: Mapping[str, Any]) -> bool:
    """Say whether a case recorded speed rather than memory."""
    return "measured" in case and "recorded" not in case


def judge_memory(cases: Iterable[Mapping[str, Any]], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report over memory cases: errors by engine, false fits and refusals, and each case."""
    rows = [memory_row(case, shapes) for case in cases]
    ran = [row for row in rows if row["outcome"] == RAN]
    return {
        "engines": table(rows, lambda row: str(row["engine"])),
        "quantities": table(_parts(rows), lambda row: str(row["quantity"])),
        "assumed": table([{**r, "counted": not r["counted"]} for r in rows], lambda row: str(row["engine"])),
        "false_fits": [r["id"] for r in rows if r["verdict"] == FITS and r["outcome"] not in (RAN, None)],
        "false_refusals": [r["id"] for r in ran if r["verdict"] == NO],
        "tight": [r["id"] for r in rows if r["verdict"] == TIGHT],
        "tight_that_ran": [r["id"] for r in ran if r["verdict"] == TIGHT],
        "incomplete": [r["id"] for r in rows if not r["counted"]],
        "no_verdict": [r["id"] for r in rows if r["verdict"] == INCOMPLETE],
        "ran": len(ran),
        "cases": rows,
    }


def memory_row(case: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return one case's prediction beside what was recorded."""
    row: dict[str, Any] = {
        "id": case.get("id"),
        "engine": str(case.get("engine")),
        "outcome": case.get("outcome"),
    }
    request = read_request(case, shapes)
    if isinstance(request, Incomplete):
        return row | {
            "verdict": "incomplete",
            "error": None,
            "counted": False,
            "missing": list(request.reasons),
        }
    plan = plan_memory(request)
    found = compare(request.engine, plan, block(case, "recorded"))
    missing = _missing(request, plan, found[0] if found else None)
    return row | {
        "verdict": plan.verdict,
        "why": plan.why,
        "remedies": plan.remedies,
        "predicted": prediction(plan),
        "quantity": found[0].quantity if found else None,
        "error": found[0].error if found else None,
        "parts": {c.quantity: c.error for c in found[1:]},
        "counted": bool(found) and not missing,
        "missing": missing,
        "assumed": list(plan.assumed),
    }


def prediction(plan: MemoryPlan) -> dict[str, Any]:
    """Return a plan's numbers in bytes."""
    return {
        "weights": round(plan.total("weights")),
        "kv": round(plan.total("kv")),
        "compute": round(plan.total("compute")),
        "need": round(plan.total("need")),
        "range": [
            round(plan.total("need") * (1 - plan.uncertainty)),
            round(plan.total("need") * (1 + plan.uncertainty)),
        ],
        "reserved": round(plan.reserved) if plan.reserved else None,
        "pool_tokens": plan.kv_tokens,
        "context": plan.context,
        "devices": [
            {"device": x.device, "need": round(x.need), "buffers": round(x.buffers), "capacity": x.capacity}
            for x in plan.loads
        ],
    }


def table(rows: Iterable[Mapping[str, Any]], key: Any) -> dict[str, dict[str, float | int]]:
    """Return count, median, 90th percentile and worst of absolute errors by group, over rows that count."""
    groups: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["counted"] and row["error"] is not None:
            groups[key(row)].append(abs(float(row["error"])))
    return {name: spread(errors) for name, errors in sorted(groups.items())}


def spread(errors: list[float]) -> dict[str, float | int]:
    """Return how errors are spread: the smallest that at least 50 % and 90 % stay within, and the worst."""
    ordered = sorted(errors)

    def at(share: float) -> float:
        return round(ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)], 4)

    return {"n": len(ordered), "median": at(0.5), "p90": at(0.9), "worst": round(ordered[-1], 4)}


def _parts(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"quantity": f"{row['engine']} {quantity}", "error": error, "counted": True}
        for row in rows
        if row["counted"]
        for quantity, error in row["parts"].items()
    ]


def _missing(request: Request, plan: MemoryPlan, first: Comparison | None) -> list[str]:
    """Return what the compared quantity would have needed to be known."""
    unclear = [request.hardware.unclear] if request.hardware.unclear else []
    if first is None:
        return [*unclear, "nothing was recorded that can be compared"]
    missing = [
        a for a in plan.assumed if not a.startswith("context") or not request.engine.startswith("vllm")
    ]
    return missing + (unclear if request.engine.startswith("vllm") else [])
