"""Sets a plan beside what a run recorded; alone reads what was recorded, and predicts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiplat.fit.knowledge import GIB, MIB
from aiplat.fit.placement import DeviceLoad, MemoryPlan

_UNITS = (("_gib", GIB), ("_mib", MIB))


@dataclass(frozen=True)
class Comparison:
    """One quantity, in bytes (tokens for a pool), as predicted and as recorded."""

    quantity: str
    predicted: float
    recorded: float

    @property
    def error(self) -> float:
        """Relative error as a fraction: 0.1 is a prediction 10 % too high."""
        return self.predicted / self.recorded - 1


def compare(engine: str, plan: MemoryPlan, recorded: Mapping[str, Any]) -> list[Comparison]:
    """Return what can be compared, the quantity that speaks for the whole case first."""
    if engine.startswith("vllm"):
        found = _vllm(plan, recorded)
    elif engine == "ollama":
        found = _ollama(plan, recorded)
    else:
        found = _llama_cpp(plan, recorded)
    return [c for c in found if c.recorded > 0 and c.predicted > 0]


def _llama_cpp(plan: MemoryPlan, recorded: Mapping[str, Any]) -> list[Comparison]:
    cards = [load for load in plan.loads if load.device != "RAM"] or plan.loads
    on_cards = "weights_mib_by_device" not in recorded
    loads = cards if on_cards else plan.loads
    parts = [
        Comparison(
            "weights",
            _sum(loads, "weights"),
            _by_device(recorded, "weights") or _size(recorded, "weights_gpu"),
        ),
        Comparison("kv", plan.total("kv"), _size(recorded, "kv") or _by_device(recorded, "kv")),
        Comparison(
            "compute", _sum(loads, "compute"), _by_device(recorded, "compute") or _size(recorded, "scratch")
        ),
    ]
    if on_cards:
        # One scratch buffer was printed for all cards; each of ours has its own.
        parts[2] = Comparison("compute", max(load.compute for load in cards), _size(recorded, "scratch"))
    parts = [part for part in parts if part.recorded]
    wholes = [
        _whole(parts) if {"weights", "kv"} <= {part.quantity for part in parts} else None,
        Comparison("total", _sum(cards, "need"), _size(recorded, "total_vram")),
        Comparison("file", plan.total("weights"), _size(recorded, "file")),
    ]
    # What the driver counts for the whole process: buffers, and what lies outside them.
    parts.append(Comparison("device", _sum(cards, "need"), _size(recorded, "device")))
    return [whole for whole in wholes if whole and whole.recorded] + parts


def _ollama(plan: MemoryPlan, recorded: Mapping[str, Any]) -> list[Comparison]:
    cards = [load for load in plan.loads if load.device != "RAM"] or plan.loads
    vision = _size(recorded, "projector_weights"), _size(recorded, "projector_graph")
    weights = Comparison("weights", _sum(cards, "weights"), _size(recorded, "weights") + vision[0])
    # What a log calls the graph is one card's; the projector stands on the first card alone.
    graph = max(load.compute for load in cards)
    drawn = _size(recorded, "graph_full") or _size(recorded, "graph")
    compute = Comparison("compute", graph, drawn + vision[1] if drawn else 0)
    cache = Comparison("kv", plan.total("kv"), _size(recorded, "kv"))
    parts = [part for part in (weights, cache, compute) if part.recorded]
    planned = Comparison(
        "total", _sum(cards, "need"), _size(recorded, "total") or _size(recorded, "estimate_full")
    )
    # A planned total stands for a case only where its parts were not printed: some are of another placement.
    return [_whole(parts) if len(parts) == 3 else planned, *parts]


def _vllm(plan: MemoryPlan, recorded: Mapping[str, Any]) -> list[Comparison]:
    rank = plan.loads[0]
    parts = [
        Comparison(
            "weights", rank.weights, _size(recorded, "weights") or _size(recorded, "weights_gib_per_gpu", GIB)
        ),
        Comparison("compute", rank.compute, _size(recorded, "activation_peak")),
        Comparison("non-torch", rank.overhead, _size(recorded, "non_torch")),
        Comparison("kv pool", plan.kv_pool or 0, _size(recorded, "kv_cache")),
    ]
    tokens = Comparison("pool tokens", plan.kv_tokens or 0, _size(recorded, "kv_tokens", 1))
    parts = [part for part in parts if part.recorded]
    named = {part.quantity for part in parts}
    wholes = [_whole(parts)] if {"weights", "kv pool"} <= named else []
    return wholes + ([tokens] if tokens.recorded else []) + parts


def _whole(parts: list[Comparison]) -> Comparison:
    return Comparison("total", sum(p.predicted for p in parts), sum(p.recorded for p in parts))


def _sum(loads: list[DeviceLoad], part: str) -> float:
    return float(sum(getattr(load, part) for load in loads))


def _by_device(recorded: Mapping[str, Any], part: str) -> float:
    devices = recorded.get(f"{part}_mib_by_device")
    values = devices.values() if isinstance(devices, Mapping) else ()
    return sum(float(v) for v in values if isinstance(v, int | float)) * MIB


def _size(recorded: Mapping[str, Any], name: str, unit: int = 0) -> float:
    keys = [(name, unit)] if unit else [(f"{name}{end}", size) for end, size in _UNITS]
    return next((float(recorded[k]) * u for k, u in keys if isinstance(recorded.get(k), int | float)), 0.0)
