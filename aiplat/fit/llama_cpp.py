"""Memory of llama.cpp and ik_llama.cpp: weights, cache and compute buffers of each device; judges nothing."""

from __future__ import annotations

from aiplat.fit.architecture import Architecture
from aiplat.fit.devices import Device
from aiplat.fit.knowledge import GIB, MIB, constant
from aiplat.fit.kv_cache import Cells, layer_bytes, padded, token_bytes
from aiplat.fit.placement import DeviceLoad, MemoryPlan
from aiplat.fit.request import EngineSettings, Request

_LAYER_SPLIT_SINCE = (
    1842  # builds; before, each matrix was cut in rows and cache and scratch lay on the first card
)
_WINDOWS_SINCE = (5427, "2025-06")  # build and month since when local layers keep a window only
_LATENT_SINCE = (5130, "2025-05")


def plan_llama_cpp(request: Request) -> MemoryPlan:
    """Return the buffers that llama.cpp makes for this request on each device."""
    context = context_of(request)
    gpus = request.hardware.gpus
    caches = layer_bytes(request.arch, _per_token(request), _cells(request, context))
    compute = compute_buffer(request, context, len(gpus) if _all_on_devices(request) else 1)
    if not gpus:
        load = DeviceLoad(
            "RAM", request.weights.total, sum(caches), compute, capacity=request.hardware.cpu.usable
        )
        return _plan(request, [load], context)
    return _plan(request, _on_devices(request, caches, compute, context), context)


def context_of(request: Request) -> int:
    """Return the tokens over all slots: as asked, else what the engine takes by itself."""
    asked = request.settings.context
    return asked or min(request.arch.max_ctx or 4096, 512 if request.version.build else 1 << 30)


def compute_buffer(request: Request, context: int, devices: int) -> float:
    """Return the bytes of one device's compute buffer: logits, or attention scores where those are larger."""
    arch, settings = request.arch, request.settings
    ubatch = min(
        settings.ubatch or min(int(constant("llama.cpp", "ubatch")), settings.batch or 1 << 30), context
    )
    masks = 2 if arch.sliding_window else 1
    logits = ubatch * 4 * (arch.vocab + arch.hidden)
    scores = ubatch * 4 * (arch.heads * context + masks * context + 4 * arch.hidden)
    size: float = logits if settings.flash_attention else max(logits, scores)
    if arch.encoder:
        size = min(size, scores)
    if settings.flash_attention and request.engine == "llama.cpp":
        size += ubatch * (2 * context + 4 * arch.hidden)
    if arch.mla and settings.mla not in (None, 0, False):
        size = max(size, _latent_buffer(arch, settings, ubatch, context))
    if devices > 1:
        # Four copies of a batch's inputs travel through the pipeline of devices.
        size += ubatch * 4 * (3 * masks * context + 4 * arch.hidden)
    return size


def largest_matrix_copy(request: Request) -> float:
    """Return the bytes of a 16-bit copy of the largest matrix, which older builds make to multiply it."""
    build, month = request.version.build, request.version.month
    recent = request.engine != "llama.cpp" or build >= 3000 or (month >= "2024-06" and not build)
    sixteen = request.weights.quantisation in ("F16", "BF16", "F32", "16-bit")
    if recent or sixteen or request.arch.moe:
        return 0.0
    return 2.0 * request.weights.largest


def _latent_buffer(arch: Architecture, settings: EngineSettings, ubatch: int, context: int) -> float:
    """Return the bytes for attention over a latent cache: heads are expanded again for long batches."""
    assert arch.mla  # noqa: S101 - asked for by the only caller
    expanded = 2 * arch.heads * (arch.mla.nope_dim + arch.mla.v_dim) if settings.mla in (2, 3) else 0
    return context * (expanded + 10 * ubatch) + ubatch * 4 * arch.heads * arch.mla.kv_rank


def _per_token(request: Request) -> float:
    return token_bytes(
        request.arch, request.settings.type_k, request.settings.type_v, latent=_keeps_latent(request)
    )


def _keeps_latent(request: Request) -> bool:
    asked = request.settings.mla
    if request.engine == "ik_llama.cpp":
        return asked not in (None, 0, False)
    if asked is not None:
        return bool(asked)
    build, month = _LATENT_SINCE
    return request.version.before((1 << 30,), month, build) is False


def _cells(request: Request, context: int) -> Cells:
    window = request.arch.sliding_window
    everywhere = padded(context, 256 if request.settings.flash_attention else 32)
    sequences = max(1, request.settings.parallel)
    if not window or request.engine == "ik_llama.cpp" or not _keeps_windows(request):
        return Cells(everywhere, everywhere, sequences)
    ubatch = request.settings.ubatch or int(constant("llama.cpp", "ubatch"))
    return Cells(everywhere, padded(min(context, window.window * sequences + ubatch)), sequences)


def _keeps_windows(request: Request) -> bool:
    if request.settings.swa_full is not None:
        return not request.settings.swa_full
    build, month = _WINDOWS_SINCE
    return request.version.before((1 << 30,), month, build) is False


def _on_devices(request: Request, caches: list[float], compute: float, context: int) -> list[DeviceLoad]:
    gpus, weights = request.hardware.gpus, request.weights
    loads = [_empty(request, gpu) for gpu in gpus]
    ram = DeviceLoad(
        "RAM", weights.embedding, compute=_host_buffer(request, context), capacity=request.hardware.cpu.usable
    )
    if len(gpus) > 1 and 0 < request.version.build < _LAYER_SPLIT_SINCE:
        for load in loads:
            load.weights = (sum(weights.layers) + weights.head) / len(loads)
        loads[0].kv, loads[0].compute = sum(caches), compute
        return [*loads, ram]
    asked = request.settings.gpu_layers
    skipped = max(0, len(weights.layers) - asked) if asked is not None else 0
    pieces = [*zip(weights.layers, caches, strict=True)][skipped:]
    for size, cache in [*zip(weights.layers, caches, strict=True)][:skipped]:
        ram.weights += size
        ram.kv += cache
    if asked is None or asked > len(weights.layers):
        pieces.append((weights.head, 0.0))
    else:
        ram.weights += weights.output
    for (size, cache), index in zip(pieces, shares(gpus, len(pieces)), strict=True):
        loads[index].weights += size
        loads[index].kv += cache
    for load in loads:
        load.compute = compute
    return [*loads, ram]


def shares(gpus: tuple[Device, ...], pieces: int) -> list[int]:
    """Return for each of `pieces` layers, in order, which device takes it: in proportion to memory."""
    sizes = [gpu.usable or 1 for gpu in gpus]
    total, taken, out = sum(sizes), 0, []
    limits = [taken := taken + size for size in sizes]
    for index in range(pieces):
        point = (index + 0.5) / pieces * total
        out.append(next(i for i, limit in enumerate(limits) if point <= limit))
    return out


def _all_on_devices(request: Request) -> bool:
    """Say whether all weights may lie on the devices: only then their work is pipelined."""
    return request.weights.total < sum(gpu.usable or 1 << 60 for gpu in request.hardware.gpus)


def _host_buffer(request: Request, context: int) -> float:
    ubatch = min(request.settings.ubatch or int(constant("llama.cpp", "ubatch")), context)
    copies = 4 if len(request.hardware.gpus) > 1 and _all_on_devices(request) else 1
    return ubatch * 4 * (copies * context + request.arch.hidden)


def _empty(request: Request, gpu: Device) -> DeviceLoad:
    own = _context(gpu) if gpu.kind in ("cuda", "rocm") else 0.0
    return DeviceLoad(gpu.name, overhead=own + largest_matrix_copy(request), capacity=gpu.usable)


def _context(gpu: Device) -> float:
    """Return the bytes outside every buffer: they grow with a card's multiprocessors."""
    large = (gpu.total or 0) > constant("device", "large_gib") * GIB
    return constant("llama.cpp", "context_large_mib" if large else "context_mib") * MIB


def _plan(request: Request, loads: list[DeviceLoad], context: int) -> MemoryPlan:
    uncertainty = 0.03 + (0.04 if request.mixture else 0) + (0.05 if request.arch.mla else 0)
    plan = MemoryPlan(loads, context=context, uncertainty=uncertainty, assumed=request.assumed)
    if not request.settings.context:
        plan.assumed += (f"context ({context} tokens)",)
    if request.arch.mla and request.hardware.gpus:
        # Latent attention allocates in ways that differ between builds: room is kept free on each card.
        for load in loads[:-1]:
            load.overhead += 2 * GIB
    return plan
