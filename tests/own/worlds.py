"""Small models as a site has them in a folder, and the site that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiplat.site.load import load_site
from aiplat.site.models import Site
from tests.fit.test_gguf import SMALL, TENSORS, gguf
from tests.upstreams.images import safetensors

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "vocab_size": 500,
    "max_position_embeddings": 1024,
}


def gguf_bytes(template: str = "{{ messages }}", weights: int = 2 << 20) -> bytes:
    """Return a GGUF file of a model that converses; its weights are zeros."""
    more = {"tokenizer.chat_template": template} if template else {}
    return gguf({**SMALL, **more}, TENSORS) + bytes(weights)


def laid(folder: Path, **files: bytes | dict[str, Any]) -> Path:
    """Return a folder with files by name, documents as JSON."""
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    return folder


def snapshot(folder: Path, **more: bytes | dict[str, Any]) -> Path:
    """Return the folder of a small snapshot that converses, with further files."""
    tokenizer = {"chat_template": "{{ messages }}"}
    files = {"config.json": CONFIG, "tokenizer_config.json": tokenizer, "model.safetensors": safetensors()}
    return laid(folder, **{**files, **more})


def ward(folder: Path, *models: dict[str, Any], **more: Any) -> Site:
    """Return the site of a file in `folder` that serves these models with both engines on."""
    engines = {name: {"state": "on"} for name in ("llama-cpp", "vllm")}
    document = {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": "t-own",
        "supply": "packages",
        "hosts": [{"name": "s1", "address": "10.0.0.11", "role": "server"}],
        "planes": {"model": engines},
        "models": [{"name": "ward-notes:1b", "engine": "llama-cpp", "licence": "gemma", **m} for m in models],
        **more,
    }
    path = folder / "site.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return load_site(path)
