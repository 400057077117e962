"""The shape of a model as far as memory and speed depend on it; where shapes come from is not known here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


# Ten times what the largest models have: what is beyond is damage, and would take this machine's memory.
Layers = Annotated[int, Field(ge=0, le=10_000, strict=True)]
Width = Annotated[int, Field(ge=0, le=1 << 24, strict=True)]


class SlidingWindow(_Shape):
    """Local layers look back `window` tokens; the other layers see everything."""

    window: int = Field(gt=0, strict=True)
    local_layers: Layers


class Mla(_Shape):
    """Multi-head latent attention: one latent of kv_rank plus rope_dim elements a token and layer."""

    kv_rank: Width
    rope_dim: Width
    nope_dim: Width
    v_dim: Width
    q_rank: Width = 0


class Moe(_Shape):
    """Mixture of experts: `active` of `experts` are used for a token; the first `dense_layers` have none."""

    experts: int = Field(gt=0, le=1 << 16)
    active: int = Field(gt=0, le=1 << 16)
    expert_ffn: Width
    shared: Width = 0
    dense_layers: Layers = 0


class Recurrent(_Shape):
    """Layers that keep a state of fixed size a sequence (gated delta net, Mamba) in place of a KV cache."""

    layers: Layers
    value_heads: Width = 1
    key_dim: Width = 1
    value_dim: Width = 1
    conv_channels: Width = 0

    @property
    def state_elements(self) -> int:
        """Elements of one sequence's state over all recurrent layers."""
        return self.layers * (self.value_heads * self.key_dim * self.value_dim + 4 * self.conv_channels)

    @property
    def key_heads(self) -> int:
        """Heads of keys, by the channels that are left beside the values'."""
        left = self.conv_channels - self.value_heads * self.value_dim
        return max(left // (2 * self.key_dim), 1) if self.key_dim and left > 0 else self.value_heads


class Vision(_Shape):
    """A projector for images that is loaded beside the language model."""

    weights_mib: float
    graph_mib: float


class Architecture(_Shape):
    """Shape of one model; vocab is padded, ffn is that of dense layers."""

    name: str
    family: str = "llama"
    layers: Layers = Field(gt=0)
    heads: Width = Field(gt=0)
    kv_heads: Width = Field(gt=0)
    head_dim: Width = Field(gt=0)
    hidden: Width = Field(gt=0)
    ffn: Width = 0
    vocab: int = Field(gt=0, le=1 << 28)
    max_ctx: int = Field(default=0, ge=0, le=1 << 40)
    tied: bool = False
    gated: bool = True
    params_b: float | None = None
    sliding_window: SlidingWindow | None = None
    mla: Mla | None = None
    moe: Moe | None = None
    recurrent: Recurrent | None = None
    vision: Vision | None = None
    aliases: tuple[str, ...] = ()
    hf: str = ""
    published: str = ""
    """The quantisation its makers publish it in, where that is not 16-bit."""
    kept: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By quantisation, the parts that its makers leave in 16 bits (aiplat.fit.kept)."""
    padded: bool = False
    """Its makers pad quantised checkpoints, so that groups of GPUs can share their scales."""

    @property
    def encoder(self) -> bool:
        """Whether it embeds text and generates none."""
        return self.family in ("bert", "nomic-bert", "xlm-roberta")

    @property
    def cached_layers(self) -> int:
        """Layers that have a KV cache."""
        return self.layers - (self.recurrent.layers if self.recurrent else 0)

    @property
    def local_layers(self) -> int:
        """Layers that look back a window only."""
        return self.sliding_window.local_layers if self.sliding_window else 0


@dataclass(frozen=True)
class Tensor:
    """One weight matrix: its role in the model, its layer (-1: outside), elements, and a row's length."""

    role: str
    layer: int
    elements: int
    row: int
    share: float = 1.0
    """Part of it that one token reads: below 1 for experts."""


def tensors(arch: Architecture) -> Iterator[Tensor]:
    """Yield every matrix of the model; norms and biases together are below a thousandth and are left out."""
    yield Tensor("embedding", -1, arch.vocab * arch.hidden, arch.hidden, share=0.0)
    if not arch.tied:
        yield Tensor("output", -1, arch.vocab * arch.hidden, arch.hidden)
    for layer in range(arch.layers):
        yield from _attention(arch, layer)
        yield from _feed_forward(arch, layer)


def parameters(arch: Architecture) -> int:
    """Return the number of parameters: the published one where the shape alone does not give it."""
    counted = sum(tensor.elements for tensor in tensors(arch))
    return round(arch.params_b * 1e9) if arch.params_b else counted


def _attention(arch: Architecture, layer: int) -> Iterator[Tensor]:
    h, q_rows = arch.hidden, arch.heads * arch.head_dim
    if arch.mla:
        yield from _latent_attention(arch, arch.mla, layer)
        return
    if arch.recurrent and layer % 4 != 3 and arch.recurrent.layers * 4 >= arch.layers * 3:
        values = arch.recurrent.value_heads * arch.recurrent.value_dim
        yield Tensor("attn_qkv", layer, h * (arch.recurrent.conv_channels + values), h)
        yield Tensor("attn_o", layer, values * h, values)
        return
    gate = 2 if arch.recurrent else 1
    yield Tensor("attn_q", layer, h * q_rows * gate, h)
    yield Tensor("attn_k", layer, h * arch.kv_heads * arch.head_dim, h)
    yield Tensor("attn_v", layer, h * arch.kv_heads * arch.head_dim, h)
    yield Tensor("attn_o", layer, q_rows * h, q_rows)


def _latent_attention(arch: Architecture, mla: Mla, layer: int) -> Iterator[Tensor]:
    h, head = arch.hidden, mla.nope_dim + mla.rope_dim
    if mla.q_rank:
        yield Tensor("attn_q", layer, h * mla.q_rank + mla.q_rank * arch.heads * head, h)
    else:
        yield Tensor("attn_q", layer, h * arch.heads * head, h)
    yield Tensor("attn_k", layer, h * (mla.kv_rank + mla.rope_dim), h)
    yield Tensor("attn_v", layer, mla.kv_rank * arch.heads * (mla.nope_dim + mla.v_dim), mla.kv_rank)
    yield Tensor("attn_o", layer, arch.heads * mla.v_dim * h, arch.heads * mla.v_dim)


def _feed_forward(arch: Architecture, layer: int) -> Iterator[Tensor]:
    h, moe = arch.hidden, arch.moe
    roles = ("ffn_gate", "ffn_up", "ffn_down") if arch.gated else ("ffn_up", "ffn_down")
    if not moe or layer < moe.dense_layers:
        yield from (
            Tensor(role, layer, h * arch.ffn, arch.ffn if role == "ffn_down" else h) for role in roles
        )
        return
    share = moe.active / moe.experts
    for role in roles:
        row = moe.expert_ffn if role == "ffn_down" else h
        yield Tensor(f"{role}_exps", layer, moe.experts * h * moe.expert_ffn, row, share)
        if moe.shared:
            yield Tensor(role, layer, moe.shared * h * moe.expert_ffn, row)
