"""Snapshots are read from config.json and the headers of safetensors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from aiplat.errors import BadInput
from aiplat.fit.huggingface import read_snapshot, shape_of

CONFIG: dict[str, Any] = {
    "model_type": "qwen2",
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 256,
    "intermediate_size": 512,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


def snapshot(folder: Path, config: dict[str, Any], tensors: dict[str, int]) -> Path:
    """Write a snapshot whose safetensors hold headers and no weights."""
    (folder / "config.json").write_text(json.dumps(config))
    header, at = {}, 0
    for name, size in tensors.items():
        header[name] = {"dtype": "BF16", "shape": [size // 2], "data_offsets": [at, at := at + size]}
    if tensors:
        data = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(data)) + data)
    return folder


def test_bytes_come_from_the_headers(tmp_path: Path) -> None:
    """Layers, embedding and output are counted by their tensors' offsets; no weight is needed for it."""
    tensors = {
        "model.embed_tokens.weight": 512_000,
        "lm_head.weight": 512_000,
        "model.layers.0.mlp.up_proj.weight": 1000,
        "model.layers.1.mlp.up_proj.weight": 3000,
        "model.norm.weight": 512,
    }
    arch, weights = read_snapshot(snapshot(tmp_path, CONFIG, tensors))
    assert (arch.layers, arch.kv_heads, arch.head_dim, arch.vocab) == (2, 2, 64, 1000)
    assert weights.layers == (1000, 3000)
    assert (weights.embedding, weights.output, weights.measured) == (512_000, 512_512, True)


def test_without_safetensors_weights_are_counted(tmp_path: Path) -> None:
    """A config.json alone gives the bytes of its shape at its own precision."""
    arch, weights = read_snapshot(snapshot(tmp_path, CONFIG, {}))
    per_layer = 256 * (256 + 128 + 128 + 256) + 3 * 256 * 512
    assert weights.total == 2 * (2 * arch.vocab * arch.hidden + 2 * per_layer)
    quantised = {**CONFIG, "quantization_config": {"quant_method": "awq", "bits": 4}}
    assert read_snapshot(snapshot(tmp_path, quantised, {}))[1].total < weights.total


def test_what_differs_is_read() -> None:
    """Windows, latents, experts, linear attention and a language part inside another model."""
    layers = ["sliding_attention"] * 5 + ["full_attention"]
    gemma = {"text_config": {**CONFIG, "num_hidden_layers": 6, "sliding_window": 512, "layer_types": layers}}
    window = shape_of(gemma, "x").sliding_window
    assert window
    assert (window.window, window.local_layers) == (512, 5)
    experts = shape_of(
        {**CONFIG, "num_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 64}, "x"
    ).moe
    assert experts
    assert (experts.experts, experts.active, experts.expert_ffn) == (64, 8, 64)
    latent = shape_of({**CONFIG, "kv_lora_rank": 128, "qk_rope_head_dim": 32}, "x").mla
    assert latent
    assert (latent.kv_rank, latent.rope_dim) == (128, 32)
    linear = {**CONFIG, "num_hidden_layers": 8, "linear_num_value_heads": 4, "full_attention_interval": 4}
    assert shape_of(linear, "x").cached_layers == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"num_hidden_layers": 2}', "{"])
def test_a_config_that_says_too_little_is_refused(tmp_path: Path, text: str) -> None:
    """A config.json without layers, heads and sizes is named, with what is wrong."""
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadInput, match=r"config\.json"):
        read_snapshot(tmp_path)


@pytest.mark.parametrize("data", [b"", b"1234", struct.pack("<Q", 1 << 40), struct.pack("<Q", 4) + b"nope"])
def test_a_damaged_header_is_refused(tmp_path: Path, data: bytes) -> None:
    """A safetensors file that is cut or damaged is named, and nothing large is read."""
    snapshot(tmp_path, CONFIG, {})
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(BadInput, match="header is damaged"):
        read_snapshot(tmp_path)


@pytest.mark.parametrize(
    ("scaling", "tokens"),
    [
        (None, 4096),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}, 16384),
        ({"type": "linear", "factor": 2}, 8192),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 512}, 4096),
        ({"type": "longrope", "factor": 32}, 4096),
    ],
)
def test_a_stretched_context_is_the_models_limit(scaling: dict[str, Any] | None, tokens: int) -> None:
    """Rope scaling stretches what position embeddings allow, where those do not say so already."""
    assert shape_of({**CONFIG, "rope_scaling": scaling}, "x").max_ctx == tokens


def test_a_snapshot_without_all_its_files_is_refused(tmp_path: Path) -> None:
    """What is there would fit where the model does not."""
    snapshot(tmp_path, CONFIG, {"model.layers.0.a": 1000, "model.layers.1.a": 1000})
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00009.safetensors")
    with pytest.raises(BadInput, match="8 of 9 files of weights are missing: model-00002-of-00009"):
        read_snapshot(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"rope_scaling": "yarn"},
        {"rope_scaling": {"factor": float("inf")}},
        {"max_position_embeddings": "many"},
        {"max_position_embeddings": -5},
        {"num_hidden_layers": 10**9},
        {"hidden_size": 10**300},
        {"num_experts": -5},
    ],
    ids=str,
)
def test_a_shape_that_no_model_has_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Values of the wrong kind, and sizes that would take this machine's memory."""
    with pytest.raises(BadInput, match="layers, heads and sizes"):
        read_snapshot(snapshot(tmp_path, {**CONFIG, **change}, {}))


def test_a_configuration_nested_without_end_is_refused(tmp_path: Path) -> None:
    """A hundred thousand lists inside of each other are not configuration."""
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(BadInput, match="is not JSON"):
        read_snapshot(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b"[1]",
        b"[" * 100_000,
        b'{"a": {"dtype": "BF16", "data_offsets": [1000, 0]}}',
        b'{"a": {"dtype": "BF16", "data_offsets": [0, 1e999]}}',
        b'{"a": {"dtype": "BF16", "data_offsets": [0]}}',
    ],
    ids=["list", "deep", "backwards", "endless", "short"],
)
def test_a_header_that_no_model_has_is_refused(tmp_path: Path, header: bytes) -> None:
    """Bytes before their beginning would make the model smaller than nothing."""
    snapshot(tmp_path, CONFIG, {})
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(BadInput, match="its header is damaged"):
        read_snapshot(tmp_path)


def test_a_quantisation_that_is_a_word_is_read(tmp_path: Path) -> None:
    """Some write the method alone, where others describe it."""
    _, weights = read_snapshot(snapshot(tmp_path, {**CONFIG, "quantization_config": "awq"}, {}))
    assert weights.quantisation == "awq"
