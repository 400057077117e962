"""Finds the planner's few physical constants from recorded runs, over one half of them; predicts nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any

from aiplat.fit.cases import in_fitting_half
from aiplat.fit.devices import Device
from aiplat.fit.held_out import fit_serving, serving_runs
from aiplat.fit.knowledge import GIB, constant
from aiplat.fit.quantisation import find_quantisation
from aiplat.fit.request import Incomplete, Request, block, read_request
from aiplat.fit.speeds import recorded_speed
from aiplat.fit.throughput import SERVERS, Work, embedding, embedding_share, work_of

Case = Mapping[str, Any]


def fit_memory(cases: Iterable[Case]) -> dict[str, float]:
    """Return the constants of memory that one half of the cases gives, each the median over what tells it."""
    half = [case for case in cases if in_fitting_half(str(case.get("id")))]
    told = {
        "llama.cpp.custom_mixture_factor": [*_mixtures(half)],
        "vllm.sampler_bytes": [*_recorded(half, _sampler)],
        "vllm.activation_bytes": [*_recorded(half, _activation)],
        "vllm.non_torch_mib": [*_recorded(half, _non_torch)],
        "vllm.graphs_mib": [*_recorded(half, lambda _request, r: r.get("cuda_graph_gib", 0) * 1024)],
    }
    return {name: round(median(values), 3) for name, values in told.items() if values}


def fit_throughput(cases: Iterable[Case]) -> dict[str, float]:
    """Return shares of bandwidth and compute, and delays a layer, that one half of the cases gives."""
    half = [case for case in cases if in_fitting_half(str(case.get("id")))]
    points: dict[str, list[tuple[Work, float]]] = defaultdict(list)
    for request, speed in _measured(half, "decode_tok_s"):
        works = work_of(request)
        if len(works) == 1:
            points[f"{_family(request)} {works[0].group}"].append((works[0], 1 / speed))
    return _solve(points) | _serving(half) | _embedding(half)


def _measured(cases: Iterable[Case], key: str) -> Iterable[tuple[Request, float]]:
    for case in cases:
        speed = block(case, "measured").get(key)
        request = read_request(case) if speed else None
        if request is not None and not isinstance(request, Incomplete):
            yield request, float(speed or 0)


def _serving(cases: list[Case]) -> dict[str, float]:
    runs = serving_runs(cases)
    return {f"serving.{name}": value for name, value in fit_serving(runs).items()} if runs else {}


def _embedding(cases: Iterable[Case]) -> dict[str, float]:
    told: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        recorded, request = recorded_speed(case), read_request(case)
        if recorded and not isinstance(request, Incomplete) and request.arch.encoder:
            name, found = embedding_share(request), embedding(request)
            if found:
                told[f"throughput.{name}"].append(constant("throughput", name) * recorded / found.likely)
    return {name: round(median(values), 3) for name, values in told.items()}


def _solve(points: Mapping[str, list[tuple[Work, float]]]) -> dict[str, float]:
    """Return for each family the delay a layer, and for each group of devices its share, that fit best."""
    found: dict[str, float] = {}
    for family in sorted({key.split()[0] for key in points}):
        groups = {key.split()[1]: rows for key, rows in points.items() if key.split()[0] == family}
        delays = [us * 5 for us in range(0, 161)]
        best = min(delays, key=lambda us: sum(_share(rows, us / 1e6)[1] for rows in groups.values()))
        found[f"throughput.layer_delay_us_{family}"] = best
        for group, rows in groups.items():
            if len(rows) < 2:
                continue  # one machine tells nothing of its kind
            found[f"throughput.bandwidth_share_{group}"] = round(_share(rows, best / 1e6)[0], 3)
    return found


def _share(rows: list[tuple[Work, float]], per_layer: float) -> tuple[float, float]:
    """Return the share of the bandwidth that fits best at this delay, and the summed relative error left."""
    shares = [step / 100 for step in range(2, 101)]

    def left(share: float) -> float:
        return sum(abs(seconds / work.seconds(share, per_layer) - 1) for work, seconds in rows)

    best = min(shares, key=left)
    return best, left(best)


def _family(request: Request) -> str:
    if request.program in SERVERS:
        return "serving"
    return "transformers" if request.program == "transformers" else "llama"


def _mixtures(cases: Iterable[Case]) -> Iterable[float]:
    """Yield by how much mixtures made by hand are larger than the type they are named after."""
    for case in cases:
        quantisation = find_quantisation(str(block(case, "model").get("quant")), checkpoint=False)
        bits = block(case, "recorded").get("bpw")
        request = read_request(case)
        if quantisation and quantisation.custom and bits and not isinstance(request, Incomplete):
            named = quantisation.base_bits
            yield float(bits) / named


def _recorded(cases: Iterable[Case], tell: Callable[[Request, Mapping[str, Any]], float]) -> Iterable[float]:
    for case in cases:
        request = read_request(case)
        if not isinstance(request, Incomplete) and request.engine == "vllm":
            value = tell(request, block(case, "recorded"))
            if value:
                yield value


def _sampler(request: Request, recorded: Mapping[str, Any]) -> float:
    seqs, peak = request.settings.max_seqs or 0, float(recorded.get("activation_peak_gib") or 0)
    return peak * GIB / (seqs * request.arch.vocab) if seqs > 16 else 0


def _activation(request: Request, recorded: Mapping[str, Any]) -> float:
    """Return bytes a token and width where a long prompt in one piece decides the peak."""
    context, peak = request.settings.context or 0, recorded.get("peak_torch_memory_gib")
    if not peak or not context:
        return 0
    held = (float(peak) - float(recorded.get("weights_gib") or 0)) * GIB
    return held / (context * (request.arch.ffn + request.arch.hidden))


def _non_torch(request: Request, recorded: Mapping[str, Any]) -> float:
    card: Device | None = next(iter(request.hardware.gpus), None)
    small = card is not None and (card.total or 0) < 60 * GIB
    return (
        float(recorded.get("non_torch_gib") or 0) * 1024 if small and len(request.hardware.gpus) == 1 else 0
    )
