"""The files of a model of a site's own: which they are, and what a first look at them finds wrong."""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from aiplat.content import parsed_json

Wrong = tuple[str, str]
"""What is wrong, and what to do."""

SNAPSHOT = "huggingface"
"""The form of weights that is a folder; all others are made of one GGUF file."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz")
"""Endings of files that Python may run as a program when it loads them."""
_KEPT = (".safetensors", ".json", ".txt", ".model", ".jinja", ".tiktoken")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_CONVERT = "convert the weights, or name an engine for their form"
_LONGEST_HEADER = 100 << 20  # what the format itself allows


def own_files(source: Path, form: str, formats: Collection[str]) -> list[Path]:
    """Return the files of a model in a form: one GGUF, or a snapshot's weights and what reads them."""
    files = [path for path in _all(source) if path.is_file()]
    if form != SNAPSHOT:
        return [path for path in files if path.suffix == ".gguf"]
    kept = (*_KEPT, *PICKLES) if "pickle" in formats else _KEPT
    return [path for path in files if path.name.lower().endswith(kept)]


def wrong_files(source: Path, form: str, formats: Collection[str]) -> list[Wrong]:
    """Return everything that keeps the files at `source` from being a model in a form; reads no weights."""
    if not source.exists():
        return [(f"there is nothing at {source}", "name the folder or file with the weights")]
    if found := list(_unreadable(source)):
        return found
    files = own_files(source, form, formats)
    found = list(_of_snapshot(source, files, formats)) if form == SNAPSHOT else list(_of_gguf(source, files))
    return [*found, *(wrong for path in files for wrong in _header(path, formats))]


def _all(source: Path) -> list[Path]:
    """Return the files at or below a path, without those that are hidden."""
    if not source.is_dir():
        return [source]
    below = (path for path in sorted(source.rglob("*")) if not path.is_dir() or path.is_symlink())
    return [p for p in below if not any(part.startswith(".") for part in p.relative_to(source).parts)]


def _unreadable(source: Path) -> Iterator[Wrong]:
    root = source.resolve()
    for path in _all(source):
        if not str(path).isprintable():
            yield f"{str(path).encode('unicode_escape').decode()} has a name that is not text", "rename it"
        elif not path.resolve().is_relative_to(root):
            yield f"{path.name} leads out of the folder", "put the file itself there (cp -L)"
        elif not path.exists() or not stat.S_ISREG(path.stat().st_mode):
            yield f"{path.name} is not a file", "take it out of the folder"
        elif not os.access(path, os.R_OK):
            yield f"{path.name} cannot be read", "give yourself the right to read it (chmod u+r)"


def _of_gguf(source: Path, files: list[Path]) -> Iterator[Wrong]:
    if not files:
        others = [
            path.name for path in _all(source) if path.name.lower().endswith((".safetensors", *PICKLES))
        ]
        has = f"; it has {others[0]}, which this engine does not read" if others else ""
        yield (
            f"{source} has no GGUF file{has}",
            "convert the weights to GGUF, or take an engine for their form",
        )
    if split := [path for path in files if _SPLIT.search(path.name)]:
        fix = f"merge them: llama-gguf-split --merge {split[0].name} whole.gguf"
        yield f"{split[0].name} is one part of a split model", fix
    elif len(files) > 1:
        yield f"{source} has {len(files)} GGUF files", f"name one of them, as {files[0]}"


def _of_snapshot(source: Path, files: list[Path], formats: Collection[str]) -> Iterator[Wrong]:
    if not source.is_dir():
        yield f"{source} is one file", "name the whole folder of the model, with its config.json"
        return
    names = {str(path.relative_to(source)) for path in files}
    if not any(name.endswith(".safetensors") for name in names) and "pickle" not in formats:
        yield f"{source} has no safetensors file{_instead(source, ('.gguf',))}", _CONVERT
    if not {"config.json", "adapter_config.json"} & names:
        yield f"{source} has no config.json", "take the whole folder of the model, not its weights alone"
    for path in _all(source):
        if path.name.lower().endswith(PICKLES) and "pickle" not in formats:
            fix = "convert it to safetensors, or take it out of the folder"
            yield f"{path.name} is a pickle, which may run as a program when it is loaded", fix


def _instead(source: Path, endings: tuple[str, ...]) -> str:
    found = [path.name for path in _all(source) if path.name.lower().endswith(endings)]
    return f"; it has {found[0]}, which this engine does not read" if found else ""


def _header(path: Path, formats: Collection[str]) -> Iterator[Wrong]:
    """Yield where a file of weights is not what its name says, or is cut off."""
    kind = {".gguf": "gguf", ".safetensors": "safetensors"}.get(path.suffix)
    if kind and kind not in formats:
        yield f"{path.name} is {kind}, which modelFormats does not allow", f"add {kind} to modelFormats"
        return
    with path.open("rb") as stream:
        if kind == "gguf" and stream.read(4) != b"GGUF":
            yield f"{path.name} is not a GGUF file", "take it from its source again"
        elif kind == "safetensors" and (problem := safetensors_problem(stream, path.stat().st_size)):
            yield f"{path.name} {problem}", "take it from its source again"


def safetensors_problem(stream: IO[bytes], size: int) -> str:
    """Return what is wrong with a safetensors file by its header and its size; empty: nothing."""
    try:
        (length,) = struct.unpack("<Q", stream.read(8))
        header: Any = parsed_json(stream.read(length)) if length <= min(_LONGEST_HEADER, size) else None
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, LookupError, TypeError, AttributeError):
        return "has no safetensors header, or one that is cut off"
    whole = 8 + length + max(ends, default=0)
    return "" if size == whole else f"has {size} bytes, and its header describes {whole}"
