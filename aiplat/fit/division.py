"""How vLLM divides a model over GPUs, and what it cannot divide; whether the parts fit is not judged here."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.fit.architecture import Architecture
from aiplat.fit.request import Request

BLOCK = 128  # rows and columns of one scale in checkpoints of FP8 blocks; rows of a group in most of 4 bits
_GROUPED = ("awq", "gptq", "int4")
_EXPERT = "an expert"
# Their makers publish FP8 with a scale for each block; others scale by row or by matrix.
_BLOCKED = ("qwen3", "qwen3moe", "qwen3next", "qwen35", "deepseek2")


def divisors(arch: Architecture, most: int) -> list[int]:
    """Return over how many GPUs, `most` at most, vLLM can divide the model's layers.

    vLLM wants as many query heads on each GPU, and either as many key heads or a whole number of copies
    (vllm/config and QKVParallelLinear), and the same for the heads of layers that keep a state.
    """
    return [n for n in range(1, most + 1) if divides(arch, n) and not uneven(arch, n)]


def divides(arch: Architecture, cards: int) -> bool:
    """Whether GPUs can share the model's heads evenly."""
    if arch.heads % cards:
        return False
    if (state := arch.recurrent) and (state.value_heads % cards or state.key_heads % cards):
        return False
    # A latent is kept whole on each GPU.
    return bool(arch.mla) or not arch.kv_heads % cards or not cards % arch.kv_heads


def uneven(arch: Architecture, cards: int) -> int:
    """Return a width of the feed-forward layers that GPUs cannot share evenly; 0 where there is none."""
    widths = [arch.ffn, arch.moe.expert_ffn if arch.moe else 0]
    return next((width for width in widths if width % cards), 0)


def cut_blocks(request: Request) -> Iterator[tuple[bool, str]]:
    """Yield scales of a checkpoint that GPUs would cut: whether vLLM is sure to refuse it, and why."""
    cards, stored = request.settings.tensor_parallel or 1, request.weights.quantisation
    for what, rows in _rows(request.arch) if cards > 1 else ():
        if (rows // cards) % BLOCK == 0:
            continue
        cut = f"{rows} rows of {what} over {cards} GPUs are not whole"
        if stored in _GROUPED:
            yield _cut_group(request.arch, what, cut)
        elif stored == "fp8" and request.arch.family in _BLOCKED:
            made = f"FP8 checkpoints of {request.arch.name} have a scale for each"
            yield True, f"{cut} blocks of {BLOCK}, and {made}"
        elif stored == "fp8" and what == _EXPERT:
            yield False, f"{cut} blocks of {BLOCK}: vLLM refuses checkpoints whose FP8 scales are by block"


def _cut_group(arch: Architecture, what: str, cut: str) -> tuple[bool, str]:
    if what == _EXPERT:
        return False, f"{cut} groups of {BLOCK}: not every kernel of vLLM takes that"
    if arch.padded:
        return False, f"{cut} groups of {BLOCK}: vLLM refuses such checkpoints unless their maker padded them"
    return True, f"{cut} groups of {BLOCK}, and checkpoints of 4 bits have a scale for each"


def _rows(arch: Architecture) -> list[tuple[str, int]]:
    """Return the widths that GPUs share of matrices whose scales go along them."""
    # Of a mixture the dense layers' width is that of few layers or of none.
    wide = arch.ffn if not arch.moe or arch.moe.dense_layers else 0
    outputs = arch.heads * (arch.mla.v_dim if arch.mla else arch.head_dim)
    widths = [("a feed-forward layer", wide), ("attention", outputs)]
    return [(w, n) for w, n in [*widths, (_EXPERT, arch.moe.expert_ffn if arch.moe else 0)] if n]
