"""What one replica of a catalogued model needs, as computed from its shape; where it fits is aiplat.fit's."""

from __future__ import annotations

import math

from aiplat.catalog.components import CatalogModel, Component
from aiplat.fit.memory import plan_memory
from aiplat.fit.request import Incomplete, read_request

_MIB = 1 << 20
# What a replica is given is rounded up to this.
_STEP_MIB = 64
_CPU = "100m"
_CONTEXT, _LONGEST, _PARALLEL = 4096, 32768, 2


def fitted(engine: Component, model: CatalogModel) -> dict[str, str | int] | None:
    """Return what a replica on CPUs needs: MiB for some tokens of context, and bytes for each one more.

    None where the model's shape is not known or its engine reserves memory rather than needs it.
    """
    small = _need(engine, model, _CONTEXT)
    large = _need(engine, model, max(model.context_length or 0, _LONGEST))
    if small is None or large is None:
        return None
    tokens = _PARALLEL * _CONTEXT
    more = _PARALLEL * max(model.context_length or 0, _LONGEST) - tokens
    return {
        "cpu": _CPU,
        "memoryMiB": math.ceil(small / _MIB / _STEP_MIB) * _STEP_MIB,
        "tokens": tokens,
        "bytesPerToken": math.ceil(max(large - small, 0) / more),
    }


def _need(engine: Component, model: CatalogModel, context: int) -> float | None:
    rules = engine.engine.fit if engine.engine else None
    if rules is None or rules.reserves:
        return None
    case = {
        "engine": rules.rules,
        "model": {"name": model.shape or model.name, "quant": model.quantisation},
        "config": {"num_ctx": context, "num_parallel": _PARALLEL},
    }
    asked = read_request(case)
    if isinstance(asked, Incomplete):
        return None
    plan = plan_memory(asked)
    return plan.total("need") * (1 + plan.uncertainty)
