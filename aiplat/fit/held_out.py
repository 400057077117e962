"""Fits the constants of serving, and tells how far off they are on sources held out; reads no load itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiplat.fit.request import Incomplete, block, read_request
from aiplat.fit.serving import Served, known_constants, served
from aiplat.fit.throughput import starts_by_graphs
from aiplat.fit.traffic import read_traffic

Case = Mapping[str, Any]
_MOST = 0.9  # no share of a data sheet's number is larger
_PULL = 0.02  # keeps constants that nothing tells where they were
# Round numbers to begin with, none of them fitted: a source that is held out has no part in them.
_BEGIN = {
    "bandwidth_share": 0.8,
    "expert_bandwidth_share": 0.7,
    "prompt_compute_share": 0.6,
    "answer_compute_share": 0.6,
    "layer_delay_us": 60.0,
    "expert_layer_delay_us": 100.0,
    "link_delay_us": 30.0,
    "by_graphs": 0.5,
    "request_ms_vllm": 5.0,
    "request_ms_sglang": 5.0,
    "request_ms_tensorrt-llm": 5.0,
    "request_ms_offline": 0.5,
    "tail_answers": 8.0,
}
_STEPS = (1.3, 1.1, 1.03)


@dataclass(frozen=True)
class ServedRun:
    """One recorded run, its source and its answer tokens a second."""

    id: str
    source: str
    served: Served
    tok_s: float

    def ratio(self, known: Mapping[str, float]) -> float:
        """Return predicted over recorded."""
        return 1 / (self.served.seconds(known) * self.tok_s)


def serving_runs(cases: Iterable[Case]) -> list[ServedRun]:
    """Return the cases that recorded many requests at once on a serving engine with known cards."""
    found = []
    for case in cases:
        tok_s = block(case, "measured").get("output_tok_s")
        request = read_request(case) if tok_s and case.get("mode") == "batched" else None
        if request is None or isinstance(request, Incomplete) or request.engine.startswith(("llama", "oll")):
            continue
        load = read_traffic(case, request)
        model = served(request, load, by_graphs=starts_by_graphs(request)) if not load.rate else None
        if model:
            source = str(case.get("source") or str(case.get("id")).split("-")[0])
            found.append(ServedRun(str(case.get("id")), source, model, float(tok_s or 0)))
    return found


def fit_serving(runs: list[ServedRun]) -> dict[str, float]:
    """Return the constants of the least mean error, each source counted by the root of its runs."""
    first = known_constants() | _BEGIN
    free = list(_BEGIN)
    counted = Counter(run.source for run in runs)
    weigh = [(run, float(counted[run.source] ** -0.5)) for run in runs]
    total = sum(weight for _run, weight in weigh)

    def off(known: Mapping[str, float]) -> float:
        errors = sum(weight * abs(math.log(run.ratio(known))) for run, weight in weigh) / total
        return errors + _PULL * sum(math.log(known[name] / first[name]) ** 2 for name in free)

    best, least = dict(first), off(first)
    for step in _STEPS:
        better = True
        while better:
            better = False
            for name in free:
                for factor in (step, 1 / step):
                    tried = {**best, name: best[name] * factor}
                    if name.endswith("share") and tried[name] > _MOST:
                        continue
                    if (error := off(tried)) < least - 1e-5:
                        best, least, better = tried, error, True
    return {name: float(f"{value:.3g}") for name, value in best.items()}


def held_out(runs: list[ServedRun]) -> dict[str, float]:
    """Return for each run predicted over recorded, with constants fitted on the other sources alone."""
    ratios: dict[str, float] = {}
    for source in sorted({run.source for run in runs}):
        known = fit_serving([run for run in runs if run.source != source])
        ratios |= {run.id: run.ratio(known) for run in runs if run.source == source}
    return ratios
