"""What one replica of a catalogued model needs, as computed from its shape; where it fits is aiplat.fit's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiplat.catalog.components import CatalogModel, Component
from aiplat.catalog.engines import FitRules
from aiplat.catalog.own_models import own_shape
from aiplat.fit.memory import plan_memory
from aiplat.fit.request import Incomplete, Request, read_request
from aiplat.fit.vllm import rank_token_bytes

_MIB = 1 << 20
# What a replica is given is rounded up to this.
_STEP_MIB = 64
_CPU = "100m"
_CONTEXT, _LONGEST, _PARALLEL = 4096, 32768, 2
# What engines take of a card beside the model hardly depends on which one it is.
_CARD = "24 GB card"


def fitted(engine: Component, model: CatalogModel) -> dict[str, Any] | None:
    """Return what a replica on CPUs needs: MiB for some tokens of context, and bytes for each one more.

    An engine that reserves memory for tokens needs MiB without any; what it needs of GPUs is under `gpu`.
    None where the model's shape is not known.
    """
    rules = engine.engine.fit if engine.engine else None
    if rules is None:
        return None
    if rules.reserves:
        return _reserving(rules, model)
    longest = max(model.context_length or 0, _LONGEST)
    small, large = (_need(rules, model, context) for context in (_CONTEXT, longest))
    if small is None or large is None:
        return None
    tokens = _PARALLEL * _CONTEXT
    return {
        "cpu": _CPU,
        "memoryMiB": _stepped(small),
        "tokens": tokens,
        "bytesPerToken": math.ceil(max(large - small, 0) / (_PARALLEL * longest - tokens)),
    }


def _need(rules: FitRules, model: CatalogModel, context: int) -> float | None:
    asked = _asked(rules.rules, model, {"num_ctx": context, "num_parallel": _PARALLEL})
    if asked is None:
        return None
    plan = plan_memory(asked)
    return plan.total("need") * (1 + plan.uncertainty)


def _reserving(rules: FitRules, model: CatalogModel) -> dict[str, Any] | None:
    context = min(model.context_length or _CONTEXT, _CONTEXT)
    config = {"max_model_len": context}
    on_cpu = _asked(f"{rules.rules}-cpu", model, config)
    on_gpu = _asked(rules.rules, model, config, {"gpu": _CARD})
    if on_cpu is None or on_gpu is None:
        return None
    plan, (card,) = plan_memory(on_cpu), plan_memory(on_gpu).loads
    without_tokens = (plan.total("weights") + plan.total("compute")) * (1 + plan.uncertainty)
    per_token = math.ceil(rank_token_bytes(on_cpu, context))
    return {
        "cpu": _CPU,
        "memoryMiB": rules.processes_mib + _stepped(without_tokens),
        "tokens": 0,
        "bytesPerToken": per_token,
        "reserves": True,
        "gpu": {
            "memoryMiB": _stepped(card.weights + card.compute + card.overhead),
            "bytesPerToken": math.ceil(card.kv / context),
        },
    }


def _asked(
    engine: str, model: CatalogModel, config: Mapping[str, Any], hardware: Mapping[str, Any] | None = None
) -> Request | None:
    case = {
        "engine": engine,
        "model": _described(model),
        "config": config,
        "hardware": hardware or {},
    }
    asked = read_request(case)
    if isinstance(asked, Incomplete):
        return None
    if model.own is None:
        return asked
    # With the bytes that were read from the model's files.
    read = own_shape(model.name, model.own)
    return replace(asked, weights=read[1]) if read else None


def _described(model: CatalogModel) -> dict[str, Any]:
    """Return a model as a case of fit's has it; of one that a site has itself, the shape its files say."""
    if model.own is None:
        return {"name": model.shape or model.name, "quant": model.quantisation}
    return {"name": model.name, "quant": "F16", "architecture": model.own.shape or {}}


def _stepped(size: float) -> int:
    """Return bytes as MiB, rounded up."""
    return math.ceil(size / _MIB / _STEP_MIB) * _STEP_MIB
