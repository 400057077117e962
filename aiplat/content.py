"""Digests, JSON and atomic files; what the content means belongs in the rooms above."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Return the digest of `data` as `sha256:<64 hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the digest of a file's content as `sha256:<64 hex>`; reads it in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return "sha256:" + digest.hexdigest()


def canonical_json(document: Any) -> bytes:
    """Return `document` as JSON with sorted keys and no white space, so that equal means identical."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parsed_json(text: bytes | str) -> Any:
    """Return a JSON document that others wrote; what is wrong with it is always the same error.

    Raises:
        ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def digest_of(document: Any) -> str:
    """Return the digest of a JSON-able document, independent of key order."""
    return sha256_bytes(canonical_json(document))


def digest_tree(root: Path, skip: Iterable[str] = ()) -> str:
    """Return one digest for all files below `root`: their relative names, executable bits and content.

    `skip` are files and folders, relative to `root`, that do not count.
    """
    never = {"__pycache__", ".git"}
    skipped = [Path(name) for name in skip]
    listing = [
        [str(p.relative_to(root)), bool(p.stat().st_mode & 0o100), sha256_file(p)]
        for p in sorted(root.rglob("*"))
        if p.is_file()
        and not never.intersection(p.relative_to(root).parts)
        and not any(p.relative_to(root).is_relative_to(name) for name in skipped)
    ]
    return digest_of(listing)


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` to `path` with `mode` so that readers see the old content or the new, never a part.

    The folder is made if missing (0700). The file is on disk before its name appears.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
