"""What an engine refuses or changes however much memory there is; how much it needs is not judged here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiplat.fit.architecture import Architecture
from aiplat.fit.knowledge import GIB, constant
from aiplat.fit.request import Request, utilisation

# Types of KV cache, in the words of each engine. vLLM takes the model's own 16 bits under any of their names.
_SIXTEEN = ("f16", "bf16", "auto")
_CACHES = {
    "vllm": (*_SIXTEEN, "fp8", "fp8_e4m3", "fp8_e5m2"),
    "ollama": ("f16", "q8_0", "q4_0"),
    "llama.cpp": ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"),
}
# What an engine of NVIDIA's counts as too old: everything before Volta.
_BEFORE_VOLTA = re.compile(r"(Tesla|Quadro) [KMP]\d|GTX 10|GTX 9|TITAN X")
_BLOCK = 128  # rows and columns of one scale in checkpoints of FP8 blocks; rows of a group in most of 4 bits


@dataclass(frozen=True)
class Obstacle:
    """Why an engine does not start with these settings, and what it would start with."""

    why: str
    remedy: str


def obstacles(request: Request) -> list[Obstacle]:
    """Return every setting that the engine refuses at its start."""
    found = list(_of_caches(request))
    return [*found, *_of_vllm(request), *_of_devices(request)] if _is_vllm(request) else found


def cautions(request: Request) -> list[str]:
    """Return what the engine accepts and does otherwise than asked, as sentences."""
    asked, limit = request.settings.context, request.arch.max_ctx
    slots = max(1, request.settings.parallel)
    if _is_vllm(request) or not asked or not limit or asked // slots <= limit:
        return []
    name = request.arch.name
    return [f"{name} was made for {limit} tokens; {request.engine} cuts or answers worse what is longer"]


def doubts(request: Request) -> list[str]:
    """Return why a fit is not certain, although memory and settings allow it."""
    return list(_of_blocks(request)) if _is_vllm(request) else []


def _is_vllm(request: Request) -> bool:
    return request.engine.startswith("vllm")


def divisors(arch: Architecture, most: int) -> list[int]:
    """Return over how many GPUs, `most` at most, vLLM can divide the model's attention.

    vLLM wants as many query heads on each GPU, and either as many key heads or a whole number of copies
    (vllm/config and QKVParallelLinear).
    """
    return [n for n in range(1, most + 1) if _divides(arch, n) and not _uneven(arch, n)]


def _divides(arch: Architecture, cards: int) -> bool:
    if arch.heads % cards:
        return False
    # A latent is kept whole on each GPU.
    return bool(arch.mla) or not arch.kv_heads % cards or not cards % arch.kv_heads


def _uneven(arch: Architecture, cards: int) -> int:
    """Return a width of the feed-forward layers that GPUs cannot share evenly; 0 where there is none."""
    widths = [arch.ffn, arch.moe.expert_ffn if arch.moe else 0]
    return next((width for width in widths if width % cards), 0)


def _kind(said: str | None) -> str:
    """Return a type of cache without what logs say beside it: `auto (bf16)`."""
    return (said or "").lower().partition(" ")[0]


def _of_caches(request: Request) -> Iterator[Obstacle]:
    engine, settings = "vllm" if _is_vllm(request) else request.engine, request.settings
    known, kind = _CACHES.get(engine, ()), _kind(settings.type_k)
    if kind and known and kind not in known:
        yield Obstacle(f"{request.engine} has no KV cache of type {kind}", f"--kv-type {' or '.join(known)}")
    # llama.cpp ends, Ollama keeps 16 bits: in neither is the cache as small as asked.
    quantised = (_kind(settings.type_v) or "f16") not in (*_SIXTEEN, "f32")
    if quantised and settings.flash_attention is False and engine in ("llama.cpp", "ollama"):
        yield Obstacle(
            f"{request.engine} keeps a quantised KV cache with flash attention only", "--flash-attention"
        )


def _of_devices(request: Request) -> Iterator[Obstacle]:
    gpus, settings = request.hardware.gpus, request.settings
    if not gpus or request.engine == "vllm-cpu":
        return
    wanted = (settings.tensor_parallel or 1) * settings.pipeline_parallel
    if wanted > len(gpus):
        yield Obstacle(
            f"{wanted} GPUs are to share the model, and {len(gpus)} are named",
            f"name all of them, as --device '{wanted}x {gpus[0].name}'",
        )
    kinds = sorted({gpu.kind for gpu in gpus})
    if wanted > 1 and len(kinds) > 1:
        yield Obstacle(f"vLLM does not share a model over {' and '.join(kinds)}", "GPUs of one maker")
    old = next((gpu.name for gpu in gpus if gpu.kind == "metal" or _BEFORE_VOLTA.search(gpu.name)), "")
    if old:
        yield Obstacle(f"vLLM does not run on {old}", "ollama or llama.cpp, or a card of Volta or later")
    share = utilisation(request)
    least = min((gpu.total for gpu in gpus if gpu.total), default=0)
    if least and least * (1 - share) < constant("vllm", "context_gib") * GIB:
        yield Obstacle(
            f"{share:.0%} of the card are never free: vLLM's own CUDA context takes some before it looks",
            "--utilisation 0.95",
        )


def _of_blocks(request: Request) -> Iterator[str]:
    """FP8 checkpoints of most makers have a scale for each block of 128 rows, which no GPU may halve.

    So have those of 4 bits for each group of rows.
    """
    moe, cards = request.arch.moe, request.settings.tensor_parallel or 1
    grouped = request.weights.quantisation in ("awq", "gptq")
    if grouped and not moe and cards > 1 and (request.arch.ffn // cards) % _BLOCK:
        yield (
            f"{request.arch.ffn} rows of a feed-forward layer over {cards} GPUs are not whole groups of "
            f"{_BLOCK}: vLLM refuses such checkpoints unless their maker padded them"
        )
    if moe and request.weights.quantisation == "fp8" and (moe.expert_ffn // cards) % _BLOCK:
        yield (
            f"experts of {moe.expert_ffn} rows over {cards} GPUs are not whole blocks of {_BLOCK}: vLLM "
            "refuses checkpoints whose FP8 scales are by block, and takes others"
        )


def _of_vllm(request: Request) -> Iterator[Obstacle]:
    arch, settings = request.arch, request.settings
    cards = settings.tensor_parallel or 1
    if not _divides(arch, cards):
        fewer = " or ".join(str(n) for n in divisors(arch, max(cards, len(request.hardware.gpus))))
        yield Obstacle(
            f"vLLM divides {arch.heads} heads ({arch.kv_heads} of keys) evenly over the GPUs of a "
            f"tensor-parallel group, and {cards} do not divide them",
            f"--tensor-parallel-size {fewer}",
        )
    elif width := _uneven(arch, cards):
        yield Obstacle(
            f"vLLM divides the {width} rows of a feed-forward layer evenly, and {cards} GPUs do not "
            "divide them",
            f"--tensor-parallel-size {' or '.join(str(n) for n in divisors(arch, cards))}",
        )
    if settings.context and arch.max_ctx and settings.context > arch.max_ctx:
        yield Obstacle(
            f"{arch.name} was made for {arch.max_ctx} tokens, and vLLM refuses a longer max_model_len "
            f"({settings.context})",
            f"a context of at most {arch.max_ctx} tokens",
        )
