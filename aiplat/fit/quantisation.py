"""How many bits each matrix takes under a named quantisation; which matrices there are is not known here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiplat.fit.architecture import Architecture, Tensor
from aiplat.fit.knowledge import constant, knowledge

# What the field calls 16 bits and other formats of checkpoints, longest first.
_CHECKPOINTS = (
    (r"nvfp4", "nvfp4"),
    (r"mxfp4", "mxfp4"),
    (r"dynamic|unsloth-bnb", "bnb4_dynamic"),
    (r"bnb|bitsandbytes|nf4", "bnb4"),
    (r"awq", "awq"),
    (r"gptq.?int8|w8a8|int8|w8a16", "int8"),
    (r"gptq|w4a16|wna16|autoround|auto-round|int4|marlin|4.?bit", "int4"),
    (r"fp8|f8_e4m3|e4m3", "fp8"),
    (r"8.?bit", "int8"),
    (r"bf16|bfloat16|fp16|f16|float16|16.?bit|half", "16-bit"),
    (r"f32|fp32|float32", "32-bit"),
)
_GGUF_NAME = re.compile(
    r"\b(I?Q\d\w*|TQ\d_0|BF16|F16|F32|MXFP4)\b(?:\s*-\s*(Small|Medium|Large))?", re.IGNORECASE
)
_OTHERS = re.compile(r"neuralmagic|red.?hat|nvidia|unsloth|amd[/-]|intel/|cyankiwi", re.IGNORECASE)
_SIZES = {"small": "S", "medium": "M", "large": "L"}


@dataclass(frozen=True)
class Quantisation:
    """A named way to store weights; `bits` says how many a tensor's element takes."""

    name: str
    bits: Callable[[Architecture, Tensor], float]
    custom: bool = False
    """A mixture made by hand: its exact make-up is not known from its name."""
    doubt: float = 0.02
    """Share by which files of this name differ in size."""
    base_bits: float = 0.0
    """Bits of the type that a mixture is named after."""
    by_others: bool = False
    """Somebody else than the model's makers quantised it."""


def find_quantisation(text: str | None, *, checkpoint: bool) -> Quantisation | None:
    """Return the quantisation that `text` names (`Q4_K - Medium`, `awq`), None if it names none.

    Args:
        text: as people, file names and logs write it.
        checkpoint: a Hugging Face checkpoint, so that fp8 or awq mean that; else GGUF names are tried first.
    """
    words = (text or "").strip()
    gguf = None if checkpoint else _gguf(words)
    return gguf or _checkpoint(words) or _gguf(words)


def published_quantisation(arch: Architecture, *, checkpoint: bool) -> Quantisation | None:
    """Return the form the model's makers publish, None where that is 16-bit or no engine's files have it.

    GGUF files are made by others: only a form that GGUF has too (MXFP4) is carried over as it is.
    """
    if not arch.published:
        return None
    return find_quantisation(arch.published, checkpoint=True) if checkpoint else _gguf(arch.published)


def is_gguf(name: str) -> bool:
    """Whether a quantisation is one of GGUF files alone: 16 bits are everybody's."""
    return name not in ("F16", "BF16", "F32") and _gguf(name) is not None and name != "mxfp4"


def cache_bits(name: str | None) -> float | None:
    """Return the bits of one element of a KV cache of type `name`; None where the type is not known."""
    if not name:
        return 16.0
    bits = knowledge("quantisations")["cache"].get(name.lower().split()[0])
    return float(bits) if bits else None


def _checkpoint(words: str) -> Quantisation | None:
    found = next((name for pattern, name in _CHECKPOINTS if re.search(pattern, words.lower())), None)
    if found is None:
        return None
    if found in ("16-bit", "32-bit"):
        bits = float(found[:2])
        return Quantisation(found, lambda _arch, _tensor: bits)
    spec: Mapping[str, float] = knowledge("quantisations")["checkpoints"][found]
    others = bool(_OTHERS.search(words))
    return Quantisation(
        found, lambda _arch, tensor: _checkpoint_bits(spec, tensor), doubt=spec["doubt"], by_others=others
    )


def _checkpoint_bits(spec: Mapping[str, float], tensor: Tensor) -> float:
    if tensor.layer < 0:
        return 16.0
    return spec.get("experts", spec["layers"]) if tensor.role.endswith("_exps") else spec["layers"]


def _gguf(words: str) -> Quantisation | None:
    match = _GGUF_NAME.search(words)
    if not match:
        return None
    name = re.sub(r"_R\d+$", "", match[1].upper())
    if match[2]:
        name += f"_{_SIZES[match[2].lower()]}"
    name = re.sub(r"_XL$", "_M", name)
    recipes, types = knowledge("quantisations")["recipes"], knowledge("quantisations")["types"]
    if name not in recipes and f"{name}_M" in recipes:
        name += "_M"
    if name in recipes:
        return Quantisation(name, lambda arch, tensor: _recipe_bits(recipes[name], arch, tensor))
    if name in types:
        bits = float(types[name])
        return Quantisation(
            name, lambda _arch, tensor: _mixture_bits(bits, tensor), custom=True, base_bits=bits
        )
    return None


def _mixture_bits(bits: float, tensor: Tensor) -> float:
    """Return the bits in a mixture made around one type: its makers choose some tensors larger."""
    if tensor.layer < 0:
        return max(bits, 6.5625)
    return bits * constant("llama.cpp", "custom_mixture_factor")


def _recipe_bits(recipe: Mapping[str, str | Mapping[str, str]], arch: Architecture, tensor: Tensor) -> float:
    data = knowledge("quantisations")
    name = _type_of(recipe, arch, tensor)
    if tensor.row % 256 and name not in ("F16", "BF16", "F32", "MXFP4"):
        name = data["fallback"].get(name, name)
    return float(data["types"][name])


def _type_of(recipe: Mapping[str, str | Mapping[str, str]], arch: Architecture, tensor: Tensor) -> str:
    base = str(recipe["base"])
    if tensor.role == "embedding":
        return str(recipe["output"] if arch.tied else recipe.get("embedding", base))
    if tensor.role == "output":
        return str(recipe["output"])
    if tensor.role.endswith("_exps") and "experts" in recipe:
        return str(recipe["experts"])
    few_experts = arch.moe is not None and arch.moe.experts == 8
    if few_experts and tensor.role in ("attn_v", "attn_k") and base.startswith(("Q", "IQ")):
        return "Q8_0"
    rules = recipe.get(tensor.role.removesuffix("_exps"), {})
    assert isinstance(rules, Mapping)  # noqa: S101 - the data file is ours
    named = next((kind for rule, kind in rules.items() if _holds(rule, arch, tensor.layer)), base)
    # Models of 70B share one value head among eight queries: the quantiser spends a bit more on it.
    seventy = tensor.role == "attn_v" and arch.layers == 80 and arch.heads == 8 * arch.kv_heads
    return "Q5_K" if seventy and named in ("Q3_K", "Q4_K") else named


def _holds(rule: str, arch: Architecture, layer: int) -> bool:
    n = arch.layers
    if rule == "more_bits":
        return layer < n // 8 or layer >= 7 * n // 8 or (layer - n // 8) % 3 == 2
    if rule == "gqa4":
        return arch.heads >= 4 * arch.kv_heads
    limits = {"all": n, "first_2": 2, "first_4": 4, "first_eighth": n // 8, "first_sixteenth": n // 16}
    return layer < limits[rule]
