"""How fast a model generates, as a range: bytes over bandwidth, work over compute; judges no memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aiplat.fit.architecture import tensors
from aiplat.fit.devices import Device
from aiplat.fit.knowledge import constant
from aiplat.fit.request import Request
from aiplat.fit.serving import known_constants, served
from aiplat.fit.traffic import Traffic, asked

SERVERS = ("vllm", "vllm-cpu", "sglang", "tensorrt-llm", "vllm-ascend")
# Their kernels for MXFP4 were slow on every card that it was recorded on; vLLM's are not.
_WITHOUT_MXFP4 = ("sglang", "tensorrt-llm")
# Since when a whole token is one graph, as far as it was recorded: numbers, month, build.
_GRAPHS_SINCE: dict[str, tuple[tuple[int, ...], str, int]] = {
    "llama.cpp": ((1 << 30,), "2025-10", 6700),
    "vllm": ((0, 20), "2026-04", 0),
}


@dataclass(frozen=True)
class Speed:
    """Tokens a second: the likely value and the range that runs of its kind were seen in."""

    likely: float
    low: float
    high: float


@dataclass(frozen=True)
class Work:
    """What one token costs: bytes read, bandwidth, layers, and the group whose constants hold."""

    group: str
    read: float
    bandwidth: float
    layers: int

    def seconds(self, share: float, per_layer: float) -> float:
        """Return the time of one token at this share of the bandwidth and this delay a layer."""
        reading = self.read / (self.bandwidth * share)
        if self.group == "interpreted":
            # Python starts each layer's work: while that takes longer than the reading, it alone counts.
            return max(reading, self.layers * per_layer)
        return reading + self.layers * per_layer


def single_stream(request: Request) -> Speed | None:
    """Return tokens a second for one request alone; None where the device's bandwidth is not known."""
    works = work_of(request)
    if not works:
        return None
    own = "_by_graphs" if starts_by_graphs(request) else ""
    serving_experts = own and request.program in SERVERS and request.weights.experts
    wait = delay(request.program, f"{own}_experts" if serving_experts else own)
    if request.settings.eager and request.program in SERVERS:
        wait = constant("serving", "eager_layer_us") / 1e6
    seconds = sum(w.seconds(efficiency(w.group, own), wait) for w in works)
    spread = constant("throughput", "spread_single" if len(works) == 1 else "spread_split")
    return _range(1 / seconds, spread)


def work_of(request: Request) -> list[Work]:
    """Return what one token costs, by device group; experts that find no room are read by the processor."""
    gpus, weights = request.hardware.gpus, request.weights
    layers = request.arch.layers
    if request.hardware.unclear:
        return []
    if not gpus:
        return _works(
            [Work(_group(request, request.hardware.cpu), weights.active, request.hardware.cpu.bandwidth, 0)]
        )
    first = gpus[0]
    together = min(len(gpus), request.settings.tensor_parallel or 1) if request.program in SERVERS else 1
    room = 0.9 * sum(gpu.usable or 1 << 60 for gpu in gpus)
    if weights.total <= room:
        return _works([Work(_group(request, first), weights.active, first.bandwidth * together, layers)])
    outside = _read_outside(request, room)
    cpu = request.hardware.cpu.bandwidth or constant("throughput", "unnamed_cpu_gb_s") * 1e9
    on_gpu = Work(_group(request, first), weights.active - outside, first.bandwidth, layers)
    return _works([on_gpu, Work("cpu", outside, cpu, 0)])


def batched(request: Request, load: Traffic | None = None) -> Speed | None:
    """Return output tokens a second over all requests where many are served at once."""
    if request.engine not in SERVERS:
        return _by_slots(request)
    load = load or asked(request)
    model = served(request, load, by_graphs=starts_by_graphs(request))
    if model is None or request.hardware.unclear:
        return None
    likely, low, high = 1 / model.seconds(known_constants()), "spread_low", "spread_high"
    if request.weights.quantisation == "mxfp4" and request.program in _WITHOUT_MXFP4:
        likely, low = likely * constant("serving", "mxfp4_share"), "mxfp4_spread_low"
    slowest, fastest = likely / (1 + constant("serving", low)), likely * (1 + constant("serving", high))
    # Clients that send so many a second get no more.
    most = load.rate * load.answer if load.rate else math.inf
    return Speed(min(likely, most), min(slowest, 0.8 * most), min(fastest, 1.1 * most))


def _by_slots(request: Request) -> Speed | None:
    """Return tokens a second over all slots: each request beside the first adds a part of the time of one."""
    one, slots = single_stream(request), request.settings.parallel
    if one is None:
        return None
    factor = slots / (1 + constant("throughput", "slot_share") * (slots - 1))
    return Speed(one.likely * factor, one.low * factor, one.high * factor)


def embedding(request: Request) -> Speed | None:
    """Return tokens a second that an encoder reads."""
    gpus = request.hardware.gpus
    body = sum(t.elements for t in tensors(request.arch) if t.layer >= 0)
    flops = gpus[0].tensor_tflops * 1e12 if gpus else request.hardware.cpu.bandwidth * 8
    if not flops or request.hardware.unclear:
        return None
    share = constant("throughput", embedding_share(request))
    return _range(flops * share / (2 * body), constant("throughput", "spread_batched"))


def embedding_share(request: Request) -> str:
    """Return the name of the constant that says which share of the compute an encoder reaches there."""
    return "embedding_share" if request.hardware.gpus else "embedding_share_cpu"


def starts_by_graphs(request: Request) -> bool:
    """Say whether a version is known to start a token's kernels as one CUDA graph: layers wait less."""
    gpus, since = request.hardware.gpus, _GRAPHS_SINCE.get(request.program)
    on_cuda = bool(gpus) and gpus[0].kind == "cuda" and not request.settings.eager
    return on_cuda and since is not None and request.version.before(*since) is False


def efficiency(group: str, own: str = "") -> float:
    """Return the share of the data sheet's bandwidth that programs of a group reach."""
    return constant("throughput", f"bandwidth_share_{group}{own if group == 'serving_hbm' else ''}")


def delay(program: str, own: str = "") -> float:
    """Return the seconds a layer takes however small it is."""
    family = "serving" if program in SERVERS else "transformers" if program == "transformers" else "llama"
    return constant("throughput", f"layer_delay_us_{family}{own}") / 1e6


def _group(request: Request, device: Device) -> str:
    if device.kind == "cpu":
        return "slow_cpu" if device.slow_cores else "cpu"
    if request.program == "transformers":
        return "interpreted"
    if request.program in SERVERS:
        return "serving_hbm" if device.memory == "hbm" else "serving_gddr"
    if device.kind in ("metal", "unified"):
        return "unified"
    return "hbm" if device.memory == "hbm" else "gddr"


def _read_outside(request: Request, room: float) -> float:
    """Return the bytes of one token's work that stay in the processor's memory."""
    weights = request.weights
    missing = weights.total - room
    moe = request.arch.moe
    if moe and weights.experts:
        share = min(1.0, missing / weights.experts)
        return weights.experts * share * moe.active / moe.experts
    return min(weights.active, missing)


def _works(works: list[Work]) -> list[Work]:
    return works if all(work.bandwidth for work in works) else []


def _range(likely: float, spread: float) -> Speed:
    return Speed(likely, likely / (1 + spread), likely * (1 + spread))
