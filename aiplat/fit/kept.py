"""Which matrices of a quantised checkpoint stay in 16 bits; the bits of the others are quantisation's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiplat.fit.architecture import Architecture, Tensor

Kept = Callable[[Tensor], bool]
# Where each way to quantise lists the modules that it left alone.
_LISTS = ("modules_to_not_convert", "ignored_layers", "ignore", "llm_int8_skip_modules", "exclude_modules")
_MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_o": "self_attn.o_proj",
    "attn_qkv": "linear_attn.in_proj_qkvz",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_MOST_NAMES, _LONGEST_PATTERN = 20_000, 200


def kept_parts(arch: Architecture, parts: Sequence[str]) -> Kept:
    """Return which matrices a maker keeps who keeps these parts.

    They are `attention`, the `first` and `last` layer, of a mixture its `shared` experts and `dense` layers.
    """
    ends = {index for part, index in (("first", 0), ("last", arch.layers - 1)) if part in parts}
    dense = arch.moe.dense_layers if arch.moe else 0

    def kept(tensor: Tensor) -> bool:
        if tensor.role.startswith("attn"):
            return "attention" in parts or tensor.layer in ends
        if arch.moe and not tensor.role.endswith("_exps") and tensor.layer >= 0:
            return ("dense" if tensor.layer < dense else "shared") in parts or tensor.layer in ends
        return tensor.layer in ends

    return kept


def kept_modules(method: Mapping[str, Any]) -> Kept | None:
    """Return which matrices a config's `quantization_config` leaves alone; None where it lists none.

    A list names modules in full or in part, or as `re:` and a pattern.
    """
    said = [name for key in _LISTS if isinstance(method.get(key), list) for name in method[key]]
    names = [name for name in said[:_MOST_NAMES] if isinstance(name, str) and name]
    if not names:
        return None
    plain = [name.rstrip(".*").removeprefix("*") for name in names if not name.startswith("re:")]
    patterns = [found for name in names if name.startswith("re:") and (found := _pattern(name[3:]))]
    known: dict[tuple[int, str], bool] = {}

    def kept(tensor: Tensor) -> bool:
        key = tensor.layer, tensor.role
        if key not in known:
            module = _module(tensor)
            listed = any(f".{name}." in f".{module}." for name in plain)
            known[key] = listed or any(pattern.match(module) for pattern in patterns)
        return known[key]

    return kept


def _pattern(text: str) -> re.Pattern[str] | None:
    # A group that is repeated can take longer than anybody waits; no list needs one.
    if len(text) > _LONGEST_PATTERN or re.search(r"\)[*+{]", text):
        return None
    try:
        return re.compile(text)
    except re.error:
        return None


def _module(tensor: Tensor) -> str:
    if tensor.layer < 0:
        return "lm_head" if tensor.role == "output" else "model.embed_tokens"
    role = tensor.role.removesuffix("_exps")
    module = _MODULES.get(role, role)
    if tensor.role.endswith("_exps"):
        module = module.replace("mlp.", "mlp.experts.0.")
    return f"model.layers.{tensor.layer}.{module}"
