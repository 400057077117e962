"""Bytes of the KV cache as engines keep it: heads, windows, latents and states; judges nothing."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.fit.architecture import Architecture
from aiplat.fit.quantisation import cache_bits


@dataclass(frozen=True)
class Cells:
    """How many tokens each kind of layer keeps."""

    everywhere: int
    local: int
    """Tokens that a sliding-window layer keeps."""
    sequences: int = 1


def token_bytes(arch: Architecture, type_k: str | None, type_v: str | None, *, latent: bool) -> float:
    """Return the bytes one token takes in one full layer; `latent`: the engine caches MLA's latent."""
    k, v = (cache_bits(type_k) or 16.0) / 8, (cache_bits(type_v) or 16.0) / 8
    if arch.mla and latent:
        return (arch.mla.kv_rank + arch.mla.rope_dim) * k
    if arch.mla:
        return arch.heads * ((arch.mla.nope_dim + arch.mla.rope_dim) * k + arch.mla.v_dim * v)
    return arch.kv_heads * arch.head_dim * (k + v)


def layer_bytes(arch: Architecture, per_token: float, cells: Cells) -> list[float]:
    """Return the bytes of the cache of each layer, in order; recurrent layers hold states instead."""
    if arch.recurrent:
        return _hybrid_layers(arch, per_token, cells)
    local = _local_layers(arch)
    return [per_token * (cells.local if index in local else cells.everywhere) for index in range(arch.layers)]


def padded(tokens: int, step: int = 256) -> int:
    """Return `tokens` rounded up to a multiple of `step`."""
    return -(-tokens // step) * step


def _local_layers(arch: Architecture) -> set[int]:
    """Return which layers are local: the others are spread evenly and come last of each group."""
    window = arch.sliding_window
    if not window or not window.local_layers:
        return set()
    full = arch.layers - window.local_layers
    if not full:
        return set(range(arch.layers))
    group = max(2, round(arch.layers / full))
    chosen = [index for index in range(arch.layers) if index % group == group - 1][:full]
    spare = [index for index in range(arch.layers - 1, -1, -1) if index not in chosen]
    chosen += spare[: full - len(chosen)]
    return set(range(arch.layers)) - set(chosen)


def _hybrid_layers(arch: Architecture, per_token: float, cells: Cells) -> list[float]:
    assert arch.recurrent  # noqa: S101 - asked for by the only caller
    # States are kept in 32 bits.
    state = arch.recurrent.state_elements * 4 * cells.sequences / arch.recurrent.layers
    group = max(2, round(arch.layers / arch.cached_layers)) if arch.cached_layers else arch.layers + 1
    return [per_token * cells.everywhere if i % group == group - 1 else state for i in range(arch.layers)]
