"""Reads a GGUF file's header: the model's shape and the bytes of its tensors; never reads the weights."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from aiplat.errors import BadInput, Finding
from aiplat.fit.architecture import Architecture
from aiplat.fit.knowledge import knowledge
from aiplat.fit.weights import Weights

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_KEPT = 4096  # longer arrays are vocabularies: only their length matters
_MOST = 1 << 24  # elements of a list and bytes of a text; more is not a model
_ENTRIES = 1 << 17  # tensors or keys of a header
_HEADER_BYTES = 256 << 20  # the largest vocabularies take some tens of MiB
_PARTS = 1000  # files that one model is split over
_ELEMENTS = 1 << 48  # of one tensor
_TYPES = {
    **{
        0: "F32",
        1: "F16",
        2: "Q4_0",
        3: "Q4_1",
        6: "Q5_0",
        7: "Q5_1",
        8: "Q8_0",
        10: "Q2_K",
        11: "Q3_K",
        12: "Q4_K",
    },
    **{
        13: "Q5_K",
        14: "Q6_K",
        15: "Q8_K",
        16: "IQ2_XXS",
        17: "IQ2_XS",
        18: "IQ3_XXS",
        19: "IQ1_S",
        20: "IQ4_NL",
    },
    **{
        21: "IQ3_S",
        22: "IQ2_S",
        23: "IQ4_XS",
        29: "IQ1_M",
        30: "BF16",
        34: "TQ1_0",
        35: "TQ2_0",
        39: "MXFP4",
    },
}
# How often a layer sees everything, where the file only says that there is a window.
_WINDOW_GROUPS = {"gemma2": 2, "gemma3": 6, "cohere2": 4, "gpt-oss": 2, "llama4": 4}


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file: what it is called, its elements and its bytes."""

    name: str
    elements: int
    size: int
    kind: str


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says before its weights begin. Arrays too long to keep are given as their length."""

    metadata: Mapping[str, Any]
    tensors: tuple[TensorInfo, ...]


def read_gguf(path: Path) -> tuple[Architecture, Weights]:
    """Return shape and weights of a GGUF file.

    Raises:
        BadInput: it is not a GGUF file, or lacks what the shape needs.
    """
    try:
        with path.open("rb") as stream:
            header = read_header(stream)
        header = _with_parts(header, path)
        return _fitting(shape_of(header, path.stem), weights_of(header))
    except (struct.error, EOFError, UnicodeDecodeError):
        raise BadInput(Finding(str(path), "the header ends early", "fetch the file again")) from None
    except ValidationError:
        problem = "has a shape that no model has"
        raise BadInput(Finding(str(path), problem, "name a GGUF file of a language model")) from None
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(Finding(str(path), str(error), "name a GGUF file of a language model")) from None
    except OSError as error:
        raise BadInput(
            Finding(
                str(error.filename or path), f"cannot be read: {error.strerror}", "name a file that exists"
            )
        ) from None


def _with_parts(header: GgufHeader, path: Path) -> GgufHeader:
    """Return the header with the tensors of the model's other files, where it is split over several.

    Raises:
        ValueError: which files they are cannot be told from this one's name.
        OSError: one of them is not there.
    """
    count = header.metadata.get("split.count")
    if not isinstance(count, int) or count < 2:
        return header
    named = re.fullmatch(r"(.+)-(\d{5})-of-(\d{5})\.gguf", path.name)
    if not named or int(named[3]) != count or count > _PARTS:
        raise ValueError(
            f"is one of {count} files of a model, and is not called NAME-00001-of-{count:05}.gguf"
        )
    tensors: list[TensorInfo] = []
    metadata = dict(header.metadata)
    for number in range(1, count + 1):
        with path.with_name(f"{named[1]}-{number:05}-of-{named[3]}.gguf").open("rb") as stream:
            part = read_header(stream)
        tensors += part.tensors
        # The first part describes the model, the others say little more than their number.
        metadata = {**part.metadata, **metadata} if number > 1 else dict(part.metadata)
    return GgufHeader(metadata, tuple(tensors))


def _fitting(arch: Architecture, weights: Weights) -> tuple[Architecture, Weights]:
    if len(weights.layers) != arch.layers:
        raise ValueError(
            f"has tensors of {len(weights.layers)} layers, and says that there are {arch.layers}"
        )
    return arch, weights


def read_header(stream: BinaryIO) -> GgufHeader:
    """Read keys and tensor descriptions from a stream at its start.

    Raises:
        ValueError: this is not a GGUF file of a version that can be read.
        EOFError: the stream ends inside the header.
    """
    reader = _Header(io.BufferedReader(stream, 1 << 20) if isinstance(stream, io.RawIOBase) else stream)
    if _exactly(reader, 4) != b"GGUF":
        raise ValueError("is not a GGUF file")
    (version,) = struct.unpack("<I", _exactly(reader, 4))
    if version not in (2, 3):
        raise ValueError(f"has GGUF version {version}, which is not known")
    tensors, keys = struct.unpack("<QQ", _exactly(reader, 16))
    if tensors > _ENTRIES or keys > _ENTRIES:
        raise ValueError("is damaged: it claims more tensors or keys than any model has")
    metadata = {_string(reader): _value(reader, _number(reader, "<I")) for _ in range(keys)}
    return GgufHeader(metadata, tuple(_tensor(reader) for _ in range(tensors)))


def shape_of(header: GgufHeader, name: str) -> Architecture:
    """Return the model's shape as its header gives it.

    Raises:
        ValueError: a key that the shape needs is missing.
    """
    family = str(header.metadata.get("general.architecture", ""))
    keys = _Keys(header.metadata, family)
    heads, layers = keys.largest("attention.head_count"), keys.whole("block_count")
    if not heads or not layers:
        raise ValueError(f"does not say how many layers and heads {family or 'its model'} has")
    hidden = keys.whole("embedding_length") or 0
    return Architecture(
        name=str(header.metadata.get("general.name") or name),
        family={"gpt-oss": "gptoss", "nomic-bert": "bert"}.get(family, family),
        layers=layers,
        heads=heads,
        kv_heads=keys.largest("attention.head_count_kv") or heads,
        head_dim=keys.whole("attention.key_length") or hidden // heads,
        hidden=hidden,
        ffn=keys.largest("feed_forward_length") or 0,
        vocab=_vocabulary(header, keys, hidden),
        max_ctx=keys.whole("context_length") or 0,
        tied=not any(t.name == "output.weight" for t in header.tensors),
        **keys.variants(layers),
    )


def weights_of(header: GgufHeader) -> Weights:
    """Return the bytes of weights by place."""
    layers: dict[int, int] = {}
    embedding = output = experts = largest = 0
    active = 0.0
    share = _expert_share(header.metadata)
    for tensor in header.tensors:
        match = re.match(r"blk\.(\d+)\.", tensor.name)
        chosen = share if "_exps" in tensor.name else 1.0
        experts += tensor.size if "_exps" in tensor.name else 0
        if match:
            layers[int(match[1])] = layers.get(int(match[1]), 0) + tensor.size
            largest = max(largest, tensor.elements)
        elif tensor.name.startswith("token_embd"):
            embedding, chosen = embedding + tensor.size, 0.0
        else:
            output += tensor.size
        active += tensor.size * chosen
    tied = not any(t.name == "output.weight" for t in header.tensors)
    kinds = [t.kind for t in header.tensors if t.kind not in ("F32", "")]
    kind = max(sorted(set(kinds)), key=kinds.count) if kinds else "F32"
    body = tuple(layers[index] for index in sorted(layers))
    if tied and body:
        # Norms alone stand outside; with the last layer, the output stays the embedding's copy.
        body, output = (*body[:-1], body[-1] + output), 0
    return Weights(
        kind,
        embedding,
        output,
        body,
        round(active + (embedding if tied else 0)),
        measured=True,
        experts=experts,
        largest=largest,
    )


def _expert_share(metadata: Mapping[str, Any]) -> float:
    family = metadata.get("general.architecture")
    experts, used = (metadata.get(f"{family}.{key}") for key in ("expert_count", "expert_used_count"))
    return used / experts if experts and used else 1.0


class _Header:
    """A stream of which a header's bytes are read and no more."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = _HEADER_BYTES

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise ValueError(f"is damaged: its header is longer than {_HEADER_BYTES >> 20} MiB")
        return self._stream.read(size)


@dataclass(frozen=True)
class _Keys:
    """Keys of one architecture in a header's metadata."""

    metadata: Mapping[str, Any]
    family: str

    def get(self, key: str) -> Any:
        return self.metadata.get(f"{self.family}.{key}")

    def whole(self, key: str) -> int | None:
        value = self.get(key)
        return int(value) if isinstance(value, int | float) and value else None

    def largest(self, key: str) -> int | None:
        """Return a number, or the largest where each layer has its own."""
        value = self.get(key)
        return max(value) if isinstance(value, list) and value else self.whole(key)

    def variants(self, layers: int) -> dict[str, Any]:
        """Return what is not plain: windows, latents, experts, recurrent layers."""
        found = {"sliding_window": self._window(layers), "mla": self._latent(), "moe": self._experts()}
        return {
            key: value for key, value in (found | {"recurrent": self._recurrent(layers)}).items() if value
        }

    def _window(self, layers: int) -> dict[str, int] | None:
        window, pattern = self.whole("attention.sliding_window"), self.get("attention.sliding_window_pattern")
        if not window:
            return None
        if isinstance(pattern, list):
            return {"window": window, "local_layers": sum(bool(local) for local in pattern)}
        group = pattern if isinstance(pattern, int) and pattern > 1 else _WINDOW_GROUPS.get(self.family, 0)
        return {"window": window, "local_layers": layers - layers // group} if group else None

    def _latent(self) -> dict[str, int] | None:
        rank, rope = self.whole("attention.kv_lora_rank"), self.whole("rope.dimension_count") or 64
        if not rank:
            return None
        head = self.whole("attention.key_length_mla") or self.whole("attention.key_length") or 192
        value = self.whole("attention.value_length_mla") or self.whole("attention.value_length") or 128
        return {
            "kv_rank": rank,
            "rope_dim": rope,
            "nope_dim": head - rope,
            "v_dim": value,
            "q_rank": self.whole("attention.q_lora_rank") or 0,
        }

    def _experts(self) -> dict[str, int] | None:
        if not self.whole("expert_count"):
            return None
        return {
            "experts": self.whole("expert_count") or 1,
            "active": self.whole("expert_used_count") or 1,
            "expert_ffn": self.whole("expert_feed_forward_length")
            or self.largest("feed_forward_length")
            or 0,
            "shared": self.whole("expert_shared_count") or 0,
            "dense_layers": self.whole("leading_dense_block_count") or 0,
        }

    def _recurrent(self, layers: int) -> dict[str, int] | None:
        state, inner = self.whole("ssm.state_size"), self.whole("ssm.inner_size")
        if not state or not inner:
            return None
        kv = self.get("attention.head_count_kv")
        every = self.whole("full_attention_interval") or 4
        count = sum(not heads for heads in kv) if isinstance(kv, list) else layers - layers // every
        heads = self.whole("ssm.time_step_rank") or 1
        groups = self.whole("ssm.group_count") or 1
        return {
            "layers": count,
            "value_heads": heads,
            "key_dim": state,
            "value_dim": inner // heads,
            "conv_channels": inner + 2 * groups * state,
        }


def _vocabulary(header: GgufHeader, keys: _Keys, hidden: int) -> int:
    rows = next((t.elements // hidden for t in header.tensors if t.name == "token_embd.weight" and hidden), 0)
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    return rows or keys.whole("vocab_size") or (tokens if isinstance(tokens, int) else len(tokens or ())) or 1


def _tensor(reader: _Header) -> TensorInfo:
    name = _string(reader)
    dimensions = _number(reader, "<I")
    if dimensions > 8:
        raise ValueError("is damaged: a tensor has more than eight dimensions")
    elements = 1
    for _ in range(dimensions):
        elements *= _number(reader, "<Q")
    if elements > _ELEMENTS:
        raise ValueError("is damaged: a tensor is larger than any model")
    kind = _TYPES.get(_number(reader, "<I"), "")
    _number(reader, "<Q")
    bits = float(knowledge("quantisations")["types"].get(kind, 32))
    return TensorInfo(name, elements, round(elements * bits / 8), kind)


def _value(reader: _Header, kind: int) -> Any:
    if kind == _STRING:
        return _string(reader)
    if kind == _ARRAY:
        return _array(reader)
    if kind not in _SCALARS:
        raise ValueError(f"is damaged: it has a value of kind {kind}")
    return _number(reader, f"<{_SCALARS[kind]}")


def _array(reader: _Header) -> Any:
    kind, count = _number(reader, "<I"), _number(reader, "<Q")
    if count > _MOST:
        raise ValueError("is damaged: it has an endless list")
    if kind not in (_STRING, *_SCALARS):
        raise ValueError(f"is damaged: it has a list of values of kind {kind}")
    if count <= _KEPT:
        return [_value(reader, kind) for _ in range(count)]
    if kind == _STRING:
        for _ in range(count):
            _exactly(reader, _length(reader))
    else:
        _exactly(reader, count * struct.calcsize(_SCALARS[kind]))
    return count


def _string(reader: _Header) -> str:
    return _exactly(reader, _length(reader)).decode("utf-8", "replace")


def _length(reader: _Header) -> int:
    length: int = _number(reader, "<Q")
    if length > _MOST:
        raise ValueError("is damaged: it has an endless text")
    return length


def _number(reader: _Header, form: str) -> Any:
    return struct.unpack(form, _exactly(reader, struct.calcsize(form)))[0]


def _exactly(reader: _Header, size: int) -> bytes:
    data = reader.read(size)
    if len(data) != size:
        raise EOFError
    return data
