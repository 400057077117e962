"""Reads a Hugging Face snapshot: config.json and the headers of safetensors; never reads the weights."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiplat.content import parsed_json
from aiplat.errors import BadInput, Finding
from aiplat.fit.architecture import Architecture
from aiplat.fit.kept import kept_modules
from aiplat.fit.quantisation import find_quantisation
from aiplat.fit.weights import Weights, counted_weights

_LARGEST_FILE = 1 << 50
_PARTS = 10_000
_LONGEST_HEADER = 100 << 20  # what the format itself allows


def read_snapshot(folder: Path) -> tuple[Architecture, Weights]:
    """Return shape and weights of a snapshot; without safetensors the weights are counted from the shape.

    Raises:
        BadInput: there is no config.json, or it lacks what the shape needs, or a header is damaged.
    """
    path = folder / "config.json" if folder.is_dir() else folder
    try:
        config: dict[str, Any] = parsed_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            Finding(str(path), f"cannot be read: {error.strerror}", "name a snapshot's folder")
        ) from None
    except ValueError as error:
        raise BadInput(Finding(str(path), f"is not JSON: {error}", "fetch the snapshot again")) from None
    try:
        arch = shape_of(config, path.parent.name)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        problem = "does not say the model's layers, heads and sizes"
        raise BadInput(Finding(str(path), problem, "name the config.json of a language model")) from None
    files = sorted(path.parent.glob("*.safetensors"))
    _check_complete(path.parent, files)
    return arch, weights_of(files, arch) if files else _counted(config, arch)


def _check_complete(folder: Path, files: list[Path]) -> None:
    """Refuse a snapshot of which files are missing: what is there would fit where the model does not.

    Raises:
        BadInput: files are missing that others name.
    """
    here = {file.name for file in files}
    wanted: set[str] = set()
    for name in here:
        if (part := re.fullmatch(r"(.+)-(\d{5})-of-(\d{5})\.safetensors", name)) and int(part[3]) <= _PARTS:
            wanted |= {f"{part[1]}-{n:05}-of-{part[3]}.safetensors" for n in range(1, int(part[3]) + 1)}
    if missing := sorted(wanted - here):
        problem = f"{len(missing)} of {len(wanted)} files of weights are missing: {missing[0]}"
        raise BadInput(Finding(str(folder), problem, "fetch the snapshot again"))


def shape_of(config: Mapping[str, Any], name: str) -> Architecture:
    """Return the shape that a config.json describes; of models that also see, that of their language part."""
    text = {**config, **(config.get("text_config") or {})}
    heads, layers, hidden = text["num_attention_heads"], text["num_hidden_layers"], text["hidden_size"]
    kind = str(text.get("model_type", "llama")).removesuffix("_text")
    return Architecture(
        name=str(config.get("_name_or_path") or name),
        family={"gpt_oss": "gptoss", "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2"}.get(kind, kind),
        layers=layers,
        heads=heads,
        kv_heads=text.get("num_key_value_heads") or heads,
        head_dim=text.get("head_dim") or hidden // heads,
        hidden=hidden,
        ffn=text.get("intermediate_size") or 0,
        vocab=text["vocab_size"],
        max_ctx=_longest(text),
        tied=bool(text.get("tie_word_embeddings", kind.startswith("gemma"))),
        gated=kind not in ("bert", "xlm-roberta", "roberta", "mpnet", "gpt2"),
        **_variants(text, layers),
    )


def _longest(text: Mapping[str, Any]) -> int:
    """Return the tokens the model is made for, stretched as its configuration says (as vLLM derives it)."""
    tokens = int(text.get("max_position_embeddings") or 0)
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    kind = scaling.get("rope_type") or scaling.get("type")
    factor = scaling.get("factor")
    # These kinds have the stretched length in max_position_embeddings already.
    if not isinstance(factor, int | float) or kind in ("su", "longrope", "llama3"):
        return tokens
    if kind == "yarn":
        tokens = int(scaling.get("original_max_position_embeddings") or tokens)
    return int(tokens * factor)


def weights_of(files: list[Path], arch: Architecture) -> Weights:
    """Return the bytes of weights that the headers of safetensors files describe."""
    layers = [0] * arch.layers
    embedding = output = experts = 0
    active = 0.0
    share = arch.moe.active / arch.moe.experts if arch.moe else 1.0
    dtypes: dict[str, int] = {}
    for file in files:
        for name, dtype, size in _described(file):
            match = re.search(r"\blayers?\.(\d{1,6})\.", name)
            chosen = share if re.search(r"\bexperts\b", name) else 1.0
            experts += size if chosen < 1 else 0
            dtypes[dtype] = dtypes.get(dtype, 0) + size
            if match and int(match[1]) < arch.layers:
                layers[int(match[1])] += size
            elif "embed_tokens" in name or "word_embeddings" in name:
                embedding, chosen = embedding + size, 0.0
            else:
                output += size
            active += size * chosen
    kind = max(dtypes, key=lambda dtype: dtypes[dtype], default="BF16")
    if arch.tied:
        layers[-1], output = layers[-1] + output, 0
    return Weights(
        kind,
        embedding,
        output,
        tuple(layers),
        round(active + (embedding if arch.tied else 0)),
        measured=True,
        experts=experts,
    )


def _described(file: Path) -> Iterator[tuple[str, str, int]]:
    """Yield name, type and bytes of each tensor of one safetensors file."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError
            header: dict[str, Any] = parsed_json(stream.read(length))
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                if not 0 <= begin <= end <= _LARGEST_FILE:
                    raise ValueError
                yield name, str(entry["dtype"]), int(end) - int(begin)
    except (OSError, struct.error, ValueError, LookupError, TypeError, AttributeError):
        raise BadInput(Finding(str(file), "its header is damaged", "fetch the snapshot again")) from None


def _counted(config: Mapping[str, Any], arch: Architecture) -> Weights:
    method = config.get("quantization_config")
    method = method if isinstance(method, Mapping) else {"quant_method": method or ""}
    named = f"{method.get('quant_method', '')} {method.get('bits', '')}".strip()
    named = named or str(config.get("torch_dtype") or config.get("dtype") or "bf16")
    quantisation = find_quantisation(named, checkpoint=True) or find_quantisation("bf16", checkpoint=True)
    assert quantisation  # noqa: S101 - bf16 is known
    return counted_weights(arch, quantisation, kept_modules(method))


def _variants(text: Mapping[str, Any], layers: int) -> dict[str, Any]:
    found = {
        "sliding_window": _window(text, layers),
        "mla": _latent(text),
        "moe": _experts(text),
        "recurrent": _recurrent(text, layers),
    }
    return {key: value for key, value in found.items() if value}


def _window(text: Mapping[str, Any], layers: int) -> dict[str, int] | None:
    window = text.get("sliding_window")
    if type(window) is not int or window <= 0 or text.get("use_sliding_window") is False:
        return None
    kinds = text.get("layer_types")
    if isinstance(kinds, list):
        local = sum("sliding" in str(kind) for kind in kinds)
    else:
        group = text.get("sliding_window_pattern")
        local = layers - layers // group if isinstance(group, int) and group > 1 else layers
    return {"window": window, "local_layers": local} if local else None


def _latent(text: Mapping[str, Any]) -> dict[str, int] | None:
    if not text.get("kv_lora_rank"):
        return None
    return {
        "kv_rank": text["kv_lora_rank"],
        "rope_dim": text.get("qk_rope_head_dim", 64),
        "nope_dim": text.get("qk_nope_head_dim", 128),
        "v_dim": text.get("v_head_dim", 128),
        "q_rank": text.get("q_lora_rank") or 0,
    }


def _experts(text: Mapping[str, Any]) -> dict[str, int] | None:
    experts = next(
        (text[k] for k in ("num_experts", "num_local_experts", "n_routed_experts") if text.get(k)), 0
    )
    if not experts:
        return None
    return {
        "experts": experts,
        "active": text.get("num_experts_per_tok") or 1,
        "expert_ffn": text.get("moe_intermediate_size") or text.get("intermediate_size") or 0,
        "shared": text.get("n_shared_experts") or (1 if text.get("shared_expert_intermediate_size") else 0),
        "dense_layers": text.get("first_k_dense_replace") or 0,
    }


def _recurrent(text: Mapping[str, Any], layers: int) -> dict[str, int] | None:
    if not text.get("linear_num_value_heads"):
        return None
    kinds = text.get("layer_types")
    interval = text.get("full_attention_interval") or 4
    count = sum("linear" in str(k) for k in kinds) if isinstance(kinds, list) else layers - layers // interval
    keys, values = text.get("linear_key_head_dim", 128), text.get("linear_value_head_dim", 128)
    heads = text["linear_num_value_heads"]
    return {
        "layers": count,
        "value_heads": heads,
        "key_dim": keys,
        "value_dim": values,
        "conv_channels": heads * values + 2 * text.get("linear_num_key_heads", heads) * keys,
    }
