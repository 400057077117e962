"""Judges a request: fits, tight or does not fit, why, and what would; engines' arithmetic is not here."""

from __future__ import annotations

from dataclasses import replace

from aiplat.fit.admissible import cautions, doubts, obstacles
from aiplat.fit.knowledge import GIB, MIB, constant
from aiplat.fit.llama_cpp import plan_llama_cpp
from aiplat.fit.ollama import plan_ollama
from aiplat.fit.placement import FITS, INCOMPLETE, NO, TIGHT, DeviceLoad, MemoryPlan, gib
from aiplat.fit.request import ENGINES, Request, utilisation
from aiplat.fit.vllm import graph_bytes, graphs_inside, is_v1, on_processor, plan_vllm


def plan_memory(request: Request) -> MemoryPlan:
    """Return where the model's bytes go on the request's devices, with a verdict and its reasons."""
    request, left_out = _one_slice(request)
    if request.engine not in ENGINES:
        plan = plan_llama_cpp(request)
        plan.why = [f"how {request.engine} reserves memory is not modelled"]
    elif request.engine.startswith("vllm"):
        plan = plan_vllm(request)
        _judge_pool(request, plan)
        if plan.verdict == NO and request.settings.tensor_parallel is None and len(request.hardware.gpus) > 1:
            _judge_divided(request, plan)
    else:
        plan = plan_ollama(request) if request.engine == "ollama" else plan_llama_cpp(request)
        _judge_loads(request, plan)
    _judge_settings(request, plan)
    plan.why += left_out
    return plan


def _one_slice(request: Request) -> tuple[Request, list[str]]:
    """Leave out all MIG instances but the largest: CUDA shows a program one, and nothing else beside it."""
    gpus = request.hardware.gpus
    slices = [gpu for gpu in gpus if gpu.sliced]
    if not slices or len(gpus) < 2:
        return request, []
    kept = max(gpus, key=lambda gpu: gpu.total or 0)
    told = f"a program sees one MIG instance: {len(gpus) - 1} of {len(gpus)} devices are left out"
    return replace(request, hardware=replace(request.hardware, gpus=(kept,))), [told]


def _judge_settings(request: Request, plan: MemoryPlan) -> None:
    """Refuse what the engine refuses at its start, whatever the memory."""
    found = obstacles(request)
    if found:
        plan.verdict = NO
        plan.why = [obstacle.why for obstacle in found]
        plan.remedies = [obstacle.remedy for obstacle in found]
    elif plan.verdict == FITS and (unsure := doubts(request)):
        plan.verdict = TIGHT
        plan.why += unsure
    plan.why += cautions(request)


def _judge_loads(request: Request, plan: MemoryPlan) -> None:
    if request.hardware.unclear or not plan.loads[0].capacity:
        plan.verdict = INCOMPLETE
        plan.why = [request.hardware.unclear or "how much memory there is was not said"]
        return
    load = plan.fullest
    assert load.capacity  # noqa: S101 - the first load has one, so the fullest has
    room = f"{load.device}: {_parts(load)} = {gib(load.need)} of {gib(load.capacity)}"
    ratio = load.need / load.capacity
    if ratio > 1 + plan.uncertainty:
        plan.verdict, plan.why = NO, [room]
    elif ratio > _fits_below(request) - (0.04 if request.mixture else 0) - (0.05 if request.arch.mla else 0):
        plan.verdict, plan.why = TIGHT, [f"{room}, too close to call"]
    else:
        plan.verdict, plan.why = FITS, [room]
        _mark_shared(request, plan)
    asked = request.settings.gpu_layers
    if plan.verdict == FITS and asked is not None and asked < request.arch.layers and request.hardware.gpus:
        plan.verdict = TIGHT
        plan.why.append(f"{request.arch.layers - asked} layers stay in RAM, as asked: not a fit on the GPU")
    if plan.verdict != FITS:
        plan.remedies = _remedies(request, plan, load)


def _fits_below(request: Request) -> float:
    if request.engine != "ollama":
        return constant("llama.cpp", "fits_below")
    return constant("ollama", "fits_below" if request.hardware.gpus else "fits_below_ram")


def _judge_pool(request: Request, plan: MemoryPlan) -> None:
    rank = plan.loads[0]
    if request.hardware.unclear or plan.kv_pool is None:
        plan.verdict = INCOMPLETE
        plan.why = [request.hardware.unclear or "how much memory there is was not said"]
        return
    if on_processor(request):
        _judge_processor(plan, rank)
        return
    assert rank.capacity  # noqa: S101 - there is a pool
    spare = rank.capacity - rank.need
    doubt = request.weights.doubt * rank.weights + 0.15 * rank.compute + 0.2 * GIB
    if request.arch.vision:
        doubt += request.arch.vision.graph_mib * MIB  # what images take at their peak is not modelled
    told = (
        f"{rank.device}: of the {gib(rank.capacity)} that vLLM reserves, {_parts(rank)} are needed "
        f"for one request of {plan.context} tokens; the pool holds {plan.kv_tokens} tokens"
    )
    if spare < -doubt:
        plan.verdict, plan.why = NO, [told]
    elif spare < doubt:
        plan.verdict, plan.why = TIGHT, [f"{told}, too close to call"]
    else:
        plan.verdict, plan.why = FITS, [told]
        _mark_shared(request, plan)
        _mark_outside(request, plan, rank)
    if plan.verdict != FITS:
        plan.remedies = _remedies(request, plan, rank)


def _judge_divided(request: Request, plan: MemoryPlan) -> None:
    """Call a refusal tight where several cards are there and nobody said how many of them share a layer."""
    cards = len(request.hardware.gpus)
    divided = replace(request, settings=replace(request.settings, tensor_parallel=cards))
    other = plan_memory(divided)
    if other.verdict in (FITS, TIGHT):
        plan.verdict = TIGHT
        plan.why.append(f"vLLM uses one card unless it is told to; over {cards} cards it is: {other.verdict}")
        plan.remedies.insert(0, f"--tensor-parallel-size {cards}")


def _judge_processor(plan: MemoryPlan, load: DeviceLoad) -> None:
    tokens = plan.kv_tokens or 0
    if tokens < plan.context:
        plan.verdict = NO
        plan.why = [f"the KV space of {gib(plan.kv_pool or 0)} holds {tokens} of {plan.context} tokens"]
        plan.remedies = ["a larger VLLM_CPU_KVCACHE_SPACE", f"a context of at most {tokens} tokens"]
    elif load.capacity is None:
        plan.verdict, plan.why = INCOMPLETE, ["how much RAM there is was not said"]
    else:
        ratio = load.need / load.capacity
        plan.verdict = FITS if ratio < 0.9 else TIGHT if ratio <= 1 + plan.uncertainty else NO
        plan.why = [f"RAM: {_parts(load)} = {gib(load.need)} of {gib(load.capacity)}"]


def _mark_shared(request: Request, plan: MemoryPlan) -> None:
    """Call a fit tight where other programs hold memory of the card and nobody said how much."""
    if any(gpu.shared for gpu in request.hardware.gpus):
        plan.verdict = TIGHT
        plan.why.append("a desktop or other programs hold memory of this card, and how much was not said")


def _mark_outside(request: Request, plan: MemoryPlan, rank: DeviceLoad) -> None:
    """Call a fit tight where what vLLM takes outside its share, or others inside it, may not find room."""
    gpu = min(request.hardware.gpus, key=lambda g: g.total or 0)
    outside = (gpu.total or 0) - (rank.capacity or 0)
    if outside < graph_bytes(request) and not graphs_inside(request):
        plan.verdict = TIGHT
        plan.why.append(
            f"CUDA graphs (about {gib(graph_bytes(request))}) need room outside the reserved share"
        )
        plan.remedies.append("a smaller gpu_memory_utilization, or --enforce-eager")
    share = utilisation(request)
    if is_v1(request) and share < 0.5:
        plan.verdict = TIGHT
        plan.why.append("this version counts what other programs hold against its small share of the card")


def _remedies(request: Request, plan: MemoryPlan, load: DeviceLoad) -> list[str]:
    """Return what would make it fit, from the cheapest on."""
    assert load.capacity  # noqa: S101 - judged before
    fixed = load.need - load.kv
    told: list[str] = []
    room = load.capacity * 0.95 - fixed
    if room > 0 and load.kv:
        tokens = int(plan.context * room / load.kv) // 256 * 256
        if 256 <= tokens < plan.context:
            told.append(f"a context of at most {tokens} tokens")
    if room > load.kv * 0.53 and load.kv and not request.settings.type_k:
        told.append(
            "a KV cache of type q8_0" if not request.engine.startswith("vllm") else "a KV cache in fp8"
        )
    if request.settings.parallel > 1:
        told.append("fewer parallel slots")
    if not request.engine.startswith("vllm") and (layers := _layers_that_fit(request, load)):
        told.append(f"{layers} of {request.arch.layers} layers on the GPU and the rest in RAM, slower")
    told.append(f"devices with {gib(load.need / 0.95)} free each, more of them, or a smaller quantisation")
    return told


def _layers_that_fit(request: Request, load: DeviceLoad) -> int:
    """Return how many layers find room where all do not; 0 where none do, or where nobody asked for all."""
    cards = len(request.hardware.gpus)
    if not cards or not load.capacity or not load.weights or request.settings.gpu_layers is not None:
        return 0
    per_layer = (load.weights + load.kv) * cards / request.arch.layers
    over = -(-(load.need - load.capacity * 0.95) // per_layer) * cards
    return max(0, request.arch.layers - int(over))


def _parts(load: DeviceLoad) -> str:
    parts = [
        ("weights", load.weights),
        ("KV cache", load.kv),
        ("buffers", load.compute),
        ("context", load.overhead),
    ]
    return " + ".join(f"{name} {gib(size)}" for name, size in parts if size)
