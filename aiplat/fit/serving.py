"""How fast many requests at once are answered: steps, prompts, what each request costs; reads no case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aiplat.fit.architecture import Architecture, parameters, tensors
from aiplat.fit.knowledge import constant, knowledge
from aiplat.fit.kv_cache import token_bytes
from aiplat.fit.request import Request
from aiplat.fit.traffic import Traffic

# The last answers of many are made by few requests at once.
_LAST = 16
# What runs has a cache for some requests; whether it runs at all is not asked here.
_FEWEST = 32.0
_LARGE = 70 * (1 << 30)


@dataclass(frozen=True)
class Served:
    """A model on its cards under a load, as the formula needs it: bytes, operations, counts."""

    program: str
    dense: float
    """Bytes of weights that each step reads."""
    experts: float
    chosen: float
    """Share of the experts that one token uses."""
    token_work: float
    """Operations for one token."""
    kv: float
    """Bytes of cache that a step reads for one request, at half its answer."""
    bandwidth: float
    compute: float
    """Operations a second by the data sheet, over all cards."""
    layers: int
    by_graphs: bool
    eager: bool
    several_cards: bool
    at_once: float
    load: Traffic

    def step(self, at_once: float, known: Mapping[str, float]) -> float:
        """Return the seconds in which each of `at_once` requests gets one token."""
        read = (self.dense + at_once * self.kv) / (self.bandwidth * known["bandwidth_share"])
        drawn = 1 - float((1 - self.chosen) ** at_once)
        read += self.experts * drawn / (self.bandwidth * known["expert_bandwidth_share"])
        work = self.token_work * at_once / (self.compute * known["answer_compute_share"])
        if self.eager:
            # Python starts each layer's kernels: while that takes longer than the work, it alone counts.
            return max(read + work, self.layers * known["eager_layer_us"] / 1e6)
        delay = known["expert_layer_delay_us" if self.experts else "layer_delay_us"]
        delay *= known["by_graphs"] if self.by_graphs else 1
        delay += known["link_delay_us"] if self.several_cards else 0
        return read + work + self.layers * delay / 1e6

    def seconds(self, known: Mapping[str, float]) -> float:
        """Return the seconds of one answer token, over all requests."""
        load = self.load
        prompt = self.token_work * load.prompt / (self.compute * known["prompt_compute_share"])
        own = "offline" if load.offline else self.program
        each = prompt + known.get(f"request_ms_{own}", known["request_ms_vllm"]) / 1e3
        each += load.answer * self.step(self.at_once, known) / self.at_once
        if load.requests and not load.at_once:
            # All came together: the longest answers end alone.
            each += known["tail_answers"] * load.answer * self.step(_LAST, known) / load.requests
        return each / load.answer


def known_constants() -> dict[str, float]:
    """Return the constants of serving."""
    return {name: constant("serving", name) for name in knowledge("engines")["serving"]}


def served(request: Request, load: Traffic, *, by_graphs: bool) -> Served | None:
    """Return what the formula needs; None where a card's bandwidth or compute is not known."""
    gpus, arch, weights = request.hardware.gpus, request.arch, request.weights
    if not gpus or not gpus[0].tensor_tflops or not gpus[0].bandwidth:
        return None
    cards = max(load.cards or request.settings.tensor_parallel or len(gpus), _needed(request))
    tokens = load.prompt + load.answer
    room = 0.9 * cards * (gpus[0].usable or 1 << 60) - weights.total
    most = max(_FEWEST, room / max(1.0, _cache(request, tokens) * tokens))
    limits = (load.at_once, load.requests, _limit(request), most)
    eight_bits = weights.quantisation.startswith("fp8") and gpus[0].tensor_tflops > _EIGHT_BITS_FROM
    return Served(
        request.program,
        weights.total - weights.experts,
        weights.experts,
        arch.moe.active / arch.moe.experts if arch.moe else 1.0,
        2 * parameters_at_work(arch),
        _cache(request, tokens) * (load.prompt + load.answer / 2),
        gpus[0].bandwidth * cards * (constant("serving", "rocm_share") if gpus[0].kind == "rocm" else 1),
        gpus[0].tensor_tflops * 1e12 * cards * (2 if eight_bits else 1),
        arch.layers,
        by_graphs,
        request.settings.eager,
        cards > 1,
        min(limit for limit in limits if limit),
        load,
    )


# Cards from Hopper on multiply in 8 bits; those before keep 8-bit weights and multiply in 16.
_EIGHT_BITS_FROM = 400


def parameters_at_work(arch: Architecture) -> float:
    """Return the parameters that one token uses: without embedding and experts that are not chosen."""
    counted = sum(t.elements * t.share for t in tensors(arch))
    return float(min(counted, parameters(arch))) + (arch.vocab * arch.hidden if arch.tied else 0)


def _needed(request: Request) -> int:
    """Return how many such cards hold the weights: what ran had as many, also where nobody counted them."""
    usable = request.hardware.gpus[0].usable
    return math.ceil(request.weights.total / usable) if usable else 1


def _cache(request: Request, tokens: float) -> float:
    """Return the bytes of one token's cache over all layers; local layers keep their window alone."""
    arch, settings = request.arch, request.settings
    window = arch.sliding_window
    kept = min(1.0, window.window / tokens) if window else 1.0
    layers = arch.cached_layers - arch.local_layers * (1 - kept)
    return layers * token_bytes(arch, settings.type_k, settings.type_v, latent=True)


def _limit(request: Request) -> float | None:
    """Return how many requests the engine takes at once by itself; None: as many as its cache holds."""
    if request.settings.max_seqs:
        return float(request.settings.max_seqs)
    if not request.program.startswith("vllm"):
        return None
    large = (request.hardware.gpus[0].total or 0) >= _LARGE
    return constant("vllm", "max_seqs_large" if large else "max_seqs")
