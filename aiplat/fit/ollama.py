"""Memory of Ollama by its planner's arithmetic: slots, graphs on each device, projector; judges nothing."""

from __future__ import annotations

from dataclasses import replace

from aiplat.fit.knowledge import MIB, constant
from aiplat.fit.kv_cache import Cells, layer_bytes, token_bytes
from aiplat.fit.llama_cpp import shares
from aiplat.fit.placement import DeviceLoad, MemoryPlan
from aiplat.fit.request import Request

# Families whose graph Ollama computes from scores and logits; for all others it takes a share of the cache.
_OWN_GRAPH = (
    "llama",
    "gemma2",
    "gemma3",
    "qwen2",
    "deepseek2",
    "command-r",
    "cohere2",
    "phi2",
    "stablelm",
    "glm4",
)


def plan_ollama(request: Request) -> MemoryPlan:
    """Return what Ollama would load where, with all layers on the accelerators."""
    slots = request.settings.parallel if request.settings.context else default_slots(request)
    plan = _plan(request, slots)
    # Where nobody asked for slots Ollama gives them up before it leaves layers out.
    if slots > 1 and not request.settings.context and _over(plan):
        return _plan(request, 1)
    return plan


def default_context(request: Request) -> int:
    """Return the tokens of one slot where nobody said."""
    older = request.version.before((0, 6, 6), "2025-05")
    tokens = int(constant("ollama", "context_before_0_6" if older else "context"))
    return min(tokens, request.arch.max_ctx or tokens)


def default_slots(request: Request) -> int:
    """Return how many requests Ollama serves at once by itself."""
    if request.version.before((0, 7), "2025-05"):
        return 4
    return 2 if request.version.before((0, 11), "2025-08") else 1


def graph_bytes(request: Request, context: int, batch: int, cache: float) -> float:
    """Return the bytes of the compute graph that Ollama plans on each device, of the cache's bytes too."""
    arch, flash = request.arch, bool(request.settings.flash_attention)
    per_head = arch.heads / (1 if arch.encoder else arch.kv_heads)
    if arch.family == "gptoss" and flash:
        return 4 * batch * (arch.hidden + arch.vocab) / 2
    if arch.family == "gptoss":
        return 2 * 4 * batch * context * arch.heads
    if arch.family not in _OWN_GRAPH:
        return per_head * cache / 6
    logits = 4 * batch * (arch.hidden + arch.vocab)
    if arch.family == "deepseek2":
        scores = 4 * batch * (3 * arch.hidden + 2 + context * (1 + arch.kv_heads) + 2 * 192 * arch.kv_heads)
        return max(logits + 8 * batch * arch.hidden, scores)
    wide = (
        2 * arch.head_dim * arch.heads + 2 * arch.hidden
        if arch.family.startswith("gemma")
        else 4 * arch.hidden
    )
    if arch.family == "qwen2":
        wide = 2 * arch.hidden
    scores = 4 * batch * (2 + context * (1 + arch.heads) + wide)
    return logits if flash else max(logits, scores)


def _plan(request: Request, slots: int) -> MemoryPlan:
    context = request.settings.context or default_context(request) * slots
    batch = min(request.settings.batch or int(constant("ollama", "batch")), context)
    caches = layer_bytes(request.arch, _per_token(request), _cells(request, context, slots, batch))
    graph = graph_bytes(request, context, batch, sum(caches))
    plan = MemoryPlan(
        _loads(request, caches, graph), context=context, uncertainty=0.06, assumed=request.assumed
    )
    if not request.settings.context:
        plan.assumed += (f"context ({context} tokens over {slots} slots)",)
    return plan


def _per_token(request: Request) -> float:
    arch = request.arch
    if arch.encoder:
        # Ollama counts one key head where a model's file does not say how many there are.
        arch = arch.model_copy(update={"kv_heads": 1})
    latent = bool(request.settings.mla) or request.version.before((0, 13), "2025-11") is False
    return token_bytes(arch, request.settings.type_k, request.settings.type_v, latent=latent)


def _cells(request: Request, context: int, slots: int, batch: int) -> Cells:
    window, family = request.arch.sliding_window, request.arch.family
    local = context
    if family == "gptoss":
        local = min(context, slots * int(constant("ollama", "gpt_oss_local_cells")) + batch)
    elif window and family == "gemma3":
        local = min(context, slots * window.window + batch)
    return Cells(context, local, slots)


def _loads(request: Request, caches: list[float], graph: float) -> list[DeviceLoad]:
    weights, gpus = request.weights, request.hardware.gpus
    vision = request.arch.vision
    projector = (vision.weights_mib * MIB, vision.graph_mib * MIB) if vision else (0.0, 0.0)
    if not gpus:
        capacity = request.hardware.cpu.usable
        body = sum(weights.layers) + weights.head
        return [DeviceLoad("RAM", body + projector[0], sum(caches), graph + projector[1], capacity=capacity)]
    minimum = constant("ollama", "device_minimum_mib") * MIB + request.settings.reserved
    loads = [DeviceLoad(gpu.name, compute=graph, overhead=minimum, capacity=gpu.usable) for gpu in gpus]
    # The projector must find room on any card before the first layer does.
    loads[0].weights, loads[0].compute = projector[0], graph + projector[1]
    pieces = [*zip(weights.layers, caches, strict=True), (weights.head, 0.0)]
    for (size, cache), index in zip(pieces, shares(gpus, len(pieces)), strict=True):
        loads[index].weights += size
        loads[index].kv += cache
    return [*_fewest(loads), DeviceLoad("RAM", weights.embedding, capacity=request.hardware.cpu.usable)]


def _fewest(loads: list[DeviceLoad]) -> list[DeviceLoad]:
    """Return one device's load where all fits on one: Ollama uses no second card then."""
    first = loads[0]
    one = replace(
        first,
        weights=sum(load.weights for load in loads),
        kv=sum(load.kv for load in loads),
    )
    if len(loads) > 1 and one.capacity and one.need <= one.capacity * constant("ollama", "fits_below"):
        return [one]
    return loads


def _over(plan: MemoryPlan) -> bool:
    return any(load.capacity is not None and load.need > load.capacity for load in plan.loads)
