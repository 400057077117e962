"""Finds the shape of a model by the many names it goes by; reads no model files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError

from aiplat.fit.architecture import Architecture
from aiplat.fit.knowledge import knowledge

# What follows a model's name without changing its shape: tuning, format, quantisation.
_TAIL = re.compile(
    r"[-_.: (]*\b(instruct|chat|it|base|hf|gguf|unsloth|bnb|4bit|8bit|awq|gptq|int[48]|fp8|fp16|f16|bf16"
    r"|nvfp4|mxfp4"
    r"|i?q\d(_\w+)*|mtp|thinking|2507|dynamic|quantized|w\d+a\d+|mix|latest|text|library default)\b.*$"
)


def known_names() -> list[str]:
    """Return the names of all known models."""
    return sorted(knowledge("architectures")["architectures"])


def find_architecture(name: str, more: Mapping[str, Any] | None = None) -> Architecture | None:
    """Return the shape of the model called `name`, or None; `more` are further entries by name."""
    index = _index_with(more) if more else _known()
    for form in _forms(name):
        if form in index:
            return index[form]
    return None


def near_names(name: str) -> list[str]:
    """Return known names that look like `name`."""
    return get_close_matches(_plain(name), list(_known()), n=3, cutoff=0.6)


def as_architecture(name: str, entry: Mapping[str, Any]) -> Architecture | None:
    """Return an entry as a shape, in our own words or those of published tables; None if incomplete."""
    own = {**entry, "name": name}
    own["vocab"] = entry.get("vocab_padded") or entry.get("vocab")
    own.setdefault("params_b", entry.get("params_total_b"))
    mla, moe = entry.get("mla"), entry.get("moe")
    if isinstance(mla, Mapping) and "kv_lora_rank" in mla:
        own["mla"] = _published_mla(mla)
        own.setdefault("kv_heads", entry.get("heads"))
        own.setdefault("head_dim", mla.get("v_head_dim", 128))
        own.setdefault("family", "deepseek2")
    if isinstance(moe, Mapping) and "active_per_token" in moe:
        own["moe"] = {**moe, "active": moe["active_per_token"]}
    if not own.get("head_dim") and own.get("hidden") and own.get("heads"):
        own["head_dim"] = own["hidden"] // own["heads"]
    if entry.get("kind") == "embedding":
        own |= {"family": "bert", "gated": False, "tied": True}
    own.setdefault("kv_heads", own.get("heads"))
    try:
        return Architecture.model_validate(own)
    except ValidationError:
        return None


def _published_mla(mla: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kv_rank": mla["kv_lora_rank"],
        "rope_dim": mla.get("qk_rope_head_dim", 64),
        "nope_dim": mla.get("qk_nope_head_dim", 128),
        "v_dim": mla.get("v_head_dim", 128),
        "q_rank": mla.get("q_lora_rank") or 0,
    }


@cache
def _known() -> dict[str, Architecture]:
    return _index(knowledge("architectures")["architectures"])


def _index_with(more: Mapping[str, Any]) -> dict[str, Architecture]:
    # Our own entries win: they are complete, a table beside a case often is not.
    return {**_index(more), **_known()}


def _index(entries: Mapping[str, Any]) -> dict[str, Architecture]:
    index: dict[str, Architecture] = {}
    for name, entry in entries.items():
        arch = as_architecture(name, entry) if isinstance(entry, Mapping) else None
        if arch:
            for alias in (name, *arch.aliases, arch.hf or name):
                index.setdefault(_plain(alias), arch)
                index.setdefault(_plain(alias.rpartition("/")[2]), arch)
    return index


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def _forms(name: str) -> list[str]:
    """Return spellings of a name from the most to the least exact."""
    last = re.split(r"\s*\(", name.strip(), maxsplit=1)[0].rpartition("/")[2]
    bare = re.sub(r"^(meta|unsloth|nvidia)[-_](?=\w)", "", last.lower())
    forms = [_plain(form) for form in (name, last, bare, _TAIL.sub("", last.lower()), _TAIL.sub("", bare))]
    return list(
        dict.fromkeys(
            form for form in forms + [re.sub(r"^llama-?(\d)", r"llama-\1", f) for f in forms] if form
        )
    )
