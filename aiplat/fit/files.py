"""Reads what a model's own files say of it, for whoever has no catalogue entry for it; reads no weights."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.content import parsed_json
from aiplat.errors import BadInput, Finding
from aiplat.fit.architecture import Architecture
from aiplat.fit.gguf import read_gguf, read_header
from aiplat.fit.huggingface import read_snapshot
from aiplat.fit.weights import Weights

_ENCODERS = ("bert", "roberta", "mpnet")
_MOST_BYTES = 32 << 20


@dataclass(frozen=True)
class ModelFiles:
    """What files say of a model: family, whether it converses, embeds or is an adapter; shape if known."""

    family: str
    converses: bool
    embeds: bool
    adapter: bool = False
    shape: tuple[Architecture, Weights] | None = None


def read_files(path: Path) -> ModelFiles:
    """Return what a GGUF file, or the folder of a snapshot, says of its model.

    Raises:
        BadInput: it is not what it should be, or is cut off.
    """
    return _snapshot(path) if path.is_dir() else _gguf(path)


def _gguf(path: Path) -> ModelFiles:
    try:
        with path.open("rb") as stream:
            said = read_header(stream).metadata
    except (OSError, ValueError, TypeError, OverflowError, EOFError, struct.error) as error:
        problem = str(error) or "the header ends early"
        raise BadInput(Finding(str(path), problem, "take the file from its source again")) from None
    family = str(said.get("general.architecture") or "")
    try:
        shape = read_gguf(path)
    except BadInput:
        shape = None
    return ModelFiles(family, bool(said.get("tokenizer.chat_template")), _encodes(family), shape=shape)


def _snapshot(folder: Path) -> ModelFiles:
    adapter = not (folder / "config.json").exists()
    config = _document(folder / ("adapter_config.json" if adapter else "config.json"))
    tokenizer = _document(folder / "tokenizer_config.json")
    family = str(config.get("model_type") or "")
    shape = None
    if not adapter:
        try:
            shape = read_snapshot(folder)
        except BadInput:
            shape = None
    converses = bool(tokenizer.get("chat_template")) or (folder / "chat_template.jinja").exists()
    return ModelFiles(family, converses, _encodes(family), adapter, shape)


def _document(path: Path) -> dict[str, Any]:
    """Return a configuration; one that is not there says nothing.

    Raises:
        BadInput: it is not a JSON object, or larger than a configuration can be.
    """
    if not path.exists():
        return {}
    try:
        document = parsed_json(path.read_bytes()) if path.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict):
        raise BadInput(Finding(str(path), "is not a configuration", "take the file from its source again"))
    return document


def _encodes(family: str) -> bool:
    return any(family.endswith(name) for name in _ENCODERS)
