"""What an engine refuses or changes however much memory there is; how much it needs is not judged here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from aiplat.fit.division import cut_blocks, divides, divisors, uneven
from aiplat.fit.knowledge import GIB, constant
from aiplat.fit.quantisation import is_gguf
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
_CACHE_BLOCK = 32  # elements that share a scale in every quantised type of cache
# Forms that no GGUF file has.
_CHECKPOINTS_ONLY = ("fp8", "int8", "awq", "gptq", "int4", "bnb4", "bnb4_dynamic")
# vLLM's methods say from which generation on they have kernels: 7.5 (Turing), or later.
_NOT_ON_VOLTA = ("fp8", "int8", "awq", "mxfp4", "nvfp4")
_VOLTA = re.compile(r"V100|GV100|TITAN V\b")
_TURING = re.compile(r"\bT4|\bT[46]00\b|T1000|RTX 20[678]0|GTX 16|Quadro RTX|TITAN RTX")
_AMD_FP8 = re.compile(r"MI3\d\d|RX 90|R9700")


@dataclass(frozen=True)
class Obstacle:
    """Why an engine does not start with these settings, and what it would start with."""

    why: str
    remedy: str


def obstacles(request: Request) -> list[Obstacle]:
    """Return every setting that the engine refuses at its start."""
    found = [*_of_forms(request), *_of_caches(request), *_of_numbers(request)]
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
    if not _is_vllm(request) or request.engine == "vllm-cpu":
        return []
    return [*(why for sure, why in cut_blocks(request) if not sure), *_of_forms_unsure(request)]


def _is_vllm(request: Request) -> bool:
    return request.engine.startswith("vllm")


def _kind(said: str | None) -> str:
    """Return a type of cache without what logs say beside it: `auto (bf16)`."""
    return (said or "").lower().partition(" ")[0]


def _of_caches(request: Request) -> Iterator[Obstacle]:
    engine, settings = "vllm" if _is_vllm(request) else request.engine, request.settings
    known, kind = _CACHES.get(engine, ()), _kind(settings.type_k)
    if kind and known and kind not in known:
        yield Obstacle(f"{request.engine} has no KV cache of type {kind}", f"--kv-type {' or '.join(known)}")
    # llama.cpp ends, Ollama keeps 16 bits: in neither is the cache as small as asked.
    sixteen = (*_SIXTEEN, "f32")
    quantised = (_kind(settings.type_v) or "f16") not in sixteen
    of_keys = (_kind(settings.type_k) or "f16") not in sixteen
    head = request.arch.mla.kv_rank if request.arch.mla else request.arch.head_dim
    if (quantised or of_keys) and head % _CACHE_BLOCK and not _is_vllm(request):
        why = f"a quantised KV cache has blocks of {_CACHE_BLOCK}, which heads of {head} do not divide into"
        yield Obstacle(why, "--kv-type f16")
    if quantised and settings.flash_attention is False and engine in ("llama.cpp", "ollama"):
        yield Obstacle(
            f"{request.engine} keeps a quantised KV cache with flash attention only", "--flash-attention"
        )


def _of_numbers(request: Request) -> Iterator[Obstacle]:
    gpus, settings = request.hardware.gpus, request.settings
    wanted = (settings.tensor_parallel or 1) * settings.pipeline_parallel
    if gpus and wanted > len(gpus) and request.engine != "vllm-cpu":
        sliced = gpus[0].sliced
        fix = (
            "whole cards: a program sees one MIG instance"
            if sliced
            else f"name all of them, as --device '{wanted}x {gpus[0].name}'"
        )
        yield Obstacle(f"{wanted} GPUs are to share the model, and {len(gpus)} are named", fix)


def _of_devices(request: Request) -> Iterator[Obstacle]:
    gpus, settings = request.hardware.gpus, request.settings
    if not gpus or request.engine == "vllm-cpu":
        return
    wanted = (settings.tensor_parallel or 1) * settings.pipeline_parallel
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


def _of_vllm(request: Request) -> Iterator[Obstacle]:
    arch, settings = request.arch, request.settings
    cards = settings.tensor_parallel or 1
    fewer = " or ".join(str(n) for n in divisors(arch, max(cards, len(request.hardware.gpus))))
    if not divides(arch, cards):
        yield Obstacle(
            f"vLLM divides {arch.heads} heads ({arch.kv_heads} of keys) evenly over the GPUs of a "
            f"tensor-parallel group, and {cards} do not divide them",
            f"--tensor-parallel-size {fewer}",
        )
    elif width := uneven(arch, cards):
        yield Obstacle(
            f"vLLM divides the {width} rows of a feed-forward layer evenly, and {cards} GPUs do not "
            "divide them",
            f"--tensor-parallel-size {fewer}",
        )
    else:
        whole = " or ".join(str(n) for n in _without_cuts(request))
        yield from (
            Obstacle(why, f"--tensor-parallel-size {whole}") for sure, why in cut_blocks(request) if sure
        )
    if settings.pipeline_parallel > arch.layers:
        told = f"{arch.layers} layers cannot be laid out over {settings.pipeline_parallel} stages"
        yield Obstacle(told, f"--pipeline-parallel-size of at most {arch.layers}")
    if settings.context and arch.max_ctx and settings.context > arch.max_ctx:
        yield Obstacle(
            f"{arch.name} was made for {arch.max_ctx} tokens, and vLLM refuses a longer max_model_len "
            f"({settings.context})",
            f"a context of at most {arch.max_ctx} tokens",
        )


def _without_cuts(request: Request) -> Iterator[int]:
    for cards in divisors(request.arch, request.settings.tensor_parallel or 1):
        fewer = replace(request, settings=replace(request.settings, tensor_parallel=cards))
        if not any(sure for sure, _ in cut_blocks(fewer)):
            yield cards


def _of_forms(request: Request) -> Iterator[Obstacle]:
    """Weights in a form that the engine does not read."""
    stored = request.weights.quantisation
    if not _is_vllm(request) and stored in _CHECKPOINTS_ONLY:
        why = f"{stored} is a form of Hugging Face checkpoints, and {request.engine} reads GGUF files alone"
        yield Obstacle(why, "--quant Q4_K_M or Q8_0, or --engine vllm")
    if not _is_vllm(request) or request.engine == "vllm-cpu":
        return
    for gpu in request.hardware.gpus:
        if stored in _NOT_ON_VOLTA and _VOLTA.search(gpu.name):
            yield Obstacle(
                f"vLLM has no kernels for {stored} on {gpu.name}", "--quant gptq or bf16, or a later card"
            )
            return
        if stored == "nvfp4" and gpu.kind == "rocm":
            yield Obstacle(f"vLLM has no kernels for nvfp4 on {gpu.name}", "--quant fp8 or awq")
            return


def _of_forms_unsure(request: Request) -> Iterator[str]:
    stored = request.weights.quantisation
    if is_gguf(stored):
        yield "vLLM reads GGUF files as an experiment, and not of every model"
    for gpu in request.hardware.gpus:
        if stored in ("fp8", "mxfp4", "nvfp4") and _TURING.search(gpu.name):
            yield f"whether vLLM has kernels for {stored} on {gpu.name} depends on its version"
            return
        if stored in ("fp8", "mxfp4") and gpu.kind == "rocm" and not _AMD_FP8.search(gpu.name):
            yield f"whether vLLM has kernels for {stored} on {gpu.name} depends on its version"
            return
