"""What an engine refuses or changes however much memory there is; how much it needs is not judged here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aiplat.fit.architecture import Architecture
from aiplat.fit.request import Request


@dataclass(frozen=True)
class Obstacle:
    """Why an engine does not start with these settings, and what it would start with."""

    why: str
    remedy: str


def obstacles(request: Request) -> list[Obstacle]:
    """Return every setting that the engine refuses at its start."""
    return list(_of_vllm(request)) if request.engine.startswith("vllm") else []


def cautions(request: Request) -> list[str]:
    """Return what the engine accepts and does otherwise than asked, as sentences."""
    asked, limit = request.settings.context, request.arch.max_ctx
    slots = max(1, request.settings.parallel)
    if request.engine.startswith("vllm") or not asked or not limit or asked // slots <= limit:
        return []
    name = request.arch.name
    return [f"{name} was made for {limit} tokens; {request.engine} cuts or answers worse what is longer"]


def divisors(arch: Architecture, most: int) -> list[int]:
    """Return over how many GPUs, `most` at most, vLLM can divide the model's attention.

    vLLM wants as many query heads on each GPU, and either as many key heads or a whole number of copies
    (vllm/config and QKVParallelLinear).
    """
    return [n for n in range(1, most + 1) if _divides(arch, n)]


def _divides(arch: Architecture, cards: int) -> bool:
    if arch.heads % cards:
        return False
    # A latent is kept whole on each GPU.
    return bool(arch.mla) or not arch.kv_heads % cards or not cards % arch.kv_heads


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
    if settings.context and arch.max_ctx and settings.context > arch.max_ctx:
        yield Obstacle(
            f"{arch.name} was made for {arch.max_ctx} tokens, and vLLM refuses a longer max_model_len "
            f"({settings.context})",
            f"a context of at most {arch.max_ctx} tokens",
        )
