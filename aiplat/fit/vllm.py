"""Memory of vLLM: a share of the card is taken whatever the model needs; what is left is the KV pool."""

from __future__ import annotations

from aiplat.fit.devices import Device
from aiplat.fit.knowledge import GIB, MIB, constant
from aiplat.fit.kv_cache import Cells, layer_bytes, token_bytes
from aiplat.fit.placement import DeviceLoad, MemoryPlan
from aiplat.fit.request import Request, utilisation

_WINDOWS_SINCE = ((0, 21), "2026-04")
_GRAPHS_INSIDE_SINCE = ((0, 21), "2026-04")
_V1_SINCE = ((0, 8), "2025-03")
# Dense models run on a second runner, whose sampler is lean and whose graphs lie outside the share again.
_SECOND_RUNNER_SINCE = ((0, 26), "2026-07")


def plan_vllm(request: Request) -> MemoryPlan:
    """Return what vLLM takes on its fullest rank, and how many tokens its pool holds."""
    if on_processor(request):
        return _on_processor(request)
    unknown = Device("a device that was not named", "cuda")
    gpu = min(request.hardware.gpus, key=lambda g: g.total or 0, default=unknown)
    context = context_of(request)
    rank = _rank(request, gpu, context)
    plan = MemoryPlan([rank], context=context, uncertainty=0.05, assumed=request.assumed)
    plan.reserved = rank.capacity
    per_token = rank_token_bytes(request, context)
    if rank.capacity is not None and per_token:
        plan.kv_pool = max(0.0, rank.capacity - rank.weights - rank.compute - rank.overhead)
        block = int(constant("vllm", "block"))
        plan.kv_tokens = int(plan.kv_pool / per_token) // block * block * request.settings.context_parallel
    if not request.settings.context:
        plan.assumed += (f"context (the model's {context} tokens)",)
    return plan


def on_processor(request: Request) -> bool:
    """Say whether vLLM runs without accelerators."""
    return request.engine == "vllm-cpu" or not (request.hardware.gpus or request.hardware.unclear)


def context_of(request: Request) -> int:
    """Return max_model_len: as asked, else the longest the model is made for."""
    return request.settings.context or request.arch.max_ctx or 4096


def is_v1(request: Request) -> bool:
    """Say whether the newer engine core runs: it profiles otherwise, and counts all that is in use."""
    if request.settings.v1 is not None:
        return request.settings.v1
    old_card = any(gpu.name.startswith(("Tesla", "Quadro")) for gpu in request.hardware.gpus)
    return not old_card and request.version.before(*_V1_SINCE) is False


def on_second_runner(request: Request) -> bool:
    """Say whether the lean runner serves the model: not one with experts, not one that sees."""
    arch = request.arch
    recent = request.version.before(*_SECOND_RUNNER_SINCE) is False
    return recent and not (arch.moe or arch.vision or arch.recurrent or arch.mla)


def graphs_inside(request: Request) -> bool:
    """Say whether CUDA graphs are sure to lie inside the share."""
    return request.version.before(*_GRAPHS_INSIDE_SINCE) is False and not on_second_runner(request)


def activation_bytes(request: Request, context: int) -> float:
    """Return the peak of activations while vLLM profiles: sampling, or one batch of tokens."""
    arch, settings = request.arch, request.settings
    seqs = settings.max_seqs or _sequences(request)
    tokens = settings.batched_tokens or _batched_tokens(request, context)
    wide = arch.ffn + arch.hidden
    if arch.moe:
        wide = arch.hidden + arch.moe.expert_ffn * (arch.moe.active + arch.moe.shared)
    batch = constant("vllm", "activation_bytes") * wide * tokens / _tensor_parallel(request)
    sampler = "sampler_bytes_0_26" if on_second_runner(request) else "sampler_bytes"
    return max(constant("vllm", sampler) * seqs * arch.vocab, batch)


def _sequences(request: Request) -> int:
    """Return how many requests vLLM plans to serve at once where nobody says: more on a large card."""
    sizes = [gpu.total or 0 for gpu in request.hardware.gpus]
    large = bool(sizes) and min(sizes) >= 70 * GIB and "A100" not in request.hardware.gpus[0].name
    recent = request.version.before(*_SECOND_RUNNER_SINCE) is False
    return int(constant("vllm", "max_seqs_large" if large and recent else "max_seqs"))


def rank_token_bytes(request: Request, context: int) -> float:
    """Return the bytes one token takes of a rank's pool, averaged over a sequence of `context` tokens."""
    arch, settings, tp = request.arch, request.settings, _tensor_parallel(request)
    latent = bool(arch.mla) and request.version.before((0, 7, 1), "2025-02") is not True
    # A latent is kept whole on each rank; heads are divided, as far as there are any to divide.
    heads = arch if latent else arch.model_copy(update={"kv_heads": max(1, -(-arch.kv_heads // tp))})
    per_token = token_bytes(heads, settings.type_k, settings.type_v, latent=latent)
    if arch.mla and not latent:
        per_token /= tp
    caches = layer_bytes(heads, per_token, Cells(context, _local_cells(request, context)))
    return sum(caches) * _stage_layers(request) / arch.layers / context if context else 0.0


def graph_bytes(request: Request) -> float:
    """Return the bytes of CUDA graphs."""
    return 0.0 if request.settings.eager else constant("vllm", "graphs_mib") * MIB


def _rank(request: Request, gpu: Device, context: int) -> DeviceLoad:
    tp, share = _tensor_parallel(request), utilisation(request)
    vision = request.arch.vision.weights_mib * MIB if request.arch.vision else 0.0
    images = request.arch.vision.graph_mib * MIB if request.arch.vision else 0.0
    load = DeviceLoad(gpu.name)
    load.weights = _stage_bytes(request) / tp + vision / tp
    load.compute = activation_bytes(request, context) + images
    load.kv = rank_token_bytes(request, context) * context / request.settings.context_parallel
    load.overhead = _non_torch(gpu, tp)
    if request.version.before(*_GRAPHS_INSIDE_SINCE) is False:
        load.overhead += graph_bytes(request)
    load.capacity = round(share * gpu.total) if gpu.total else None
    return load


def _stage_bytes(request: Request) -> float:
    """Return the weights of the fullest stage: of layers the most, beside the embedding or the output."""
    weights, stages = request.weights, request.settings.pipeline_parallel
    if stages == 1:
        return weights.total
    ends = max(weights.embedding, weights.head)
    return sum(sorted(weights.layers)[-_stage_layers(request) :]) + ends


def _stage_layers(request: Request) -> int:
    return -(-request.arch.layers // request.settings.pipeline_parallel)


def _non_torch(gpu: Device, tp: int) -> float:
    large = (gpu.total or 0) > constant("device", "large_gib") * GIB
    one = constant("vllm", "non_torch_large_mib" if large else "non_torch_mib") * MIB
    return one * (2 if tp > 1 else 1)


def _batched_tokens(request: Request, context: int) -> int:
    if is_v1(request):
        return int(constant("vllm", "batched_tokens_v1"))
    # The older core takes a prompt whole, up to the length from which it cuts prompts in chunks.
    return (
        context if context <= constant("vllm", "chunked_above") else int(constant("vllm", "chunked_tokens"))
    )


def _tensor_parallel(request: Request) -> int:
    return request.settings.tensor_parallel or 1


def _local_cells(request: Request, context: int) -> int:
    window = request.arch.sliding_window
    if not window or request.version.before(*_WINDOWS_SINCE) is not False:
        return context
    return min(context, window.window)


def _on_processor(request: Request) -> MemoryPlan:
    context = context_of(request)
    per_token = rank_token_bytes(request, context)
    space = (request.settings.cpu_kv_gib or constant("vllm", "cpu_kv_gib")) * GIB
    compute = activation_bytes(request, context)
    load = DeviceLoad(
        "RAM", float(request.weights.total), space, compute, capacity=request.hardware.cpu.usable
    )
    plan = MemoryPlan([load], context=context, uncertainty=0.08, assumed=request.assumed)
    plan.kv_pool, plan.kv_tokens = space, int(space / per_token) // 16 * 16
    return plan
