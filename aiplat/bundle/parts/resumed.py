"""Writes a file whose digest is known, from where an earlier try was cut off; what it is, others know."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from aiplat.content import CHUNK
from aiplat.errors import AiplatError, Finding

Moved = Callable[[int], None]
"""Told how many more bytes are there; fewer than none where they have to come again."""
PARTIAL = ".partial"
_AGAIN = "then run the same command again: what is there is kept"


class Altered(Exception):
    """The content that came is another one than was to come."""


def write_resumed(
    target: Path, size: int, digest: str, source: Callable[[int], Iterator[bytes]], moved: Moved
) -> bool:
    """Write `target`, which appears only whole; False if the source ended before, and what came is kept.

    `source` gives the content from a byte on. What an earlier try left is read again and counts.

    Raises:
        Altered: the content is another one.
        AiplatError: it cannot be written.
    """
    partial = target.with_name(f"{target.name}{PARTIAL}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        there, found = _append(partial, size, source, moved)
        if there < size:
            return False
        if found != digest:
            partial.unlink()
            moved(-size)
            raise Altered(target)
        partial.replace(target)
    except OSError as error:
        raise AiplatError(of_disk(target, error)) from error
    return True


def _append(
    partial: Path, size: int, source: Callable[[int], Iterator[bytes]], moved: Moved
) -> tuple[int, str]:
    """Bring a file up to `size` bytes; return how many are there, and their digest."""
    seen = hashlib.sha256()
    there = 0
    # A link on a medium of others would lead to a file of this machine.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(partial, flags, 0o644), "a+b") as stream:  # noqa: PTH123 - sets the flags
        # Two that write one file would mix their bytes, and each hash its own alone.
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(stream.fileno()).st_size > size:
            stream.truncate(0)
        stream.seek(0)
        while piece := stream.read(CHUNK):
            seen.update(piece)
            there += len(piece)
            moved(len(piece))
        for piece in source(there):
            stream.write(piece)
            stream.flush()
            seen.update(piece)
            there += len(piece)
            moved(len(piece))
        os.fsync(stream.fileno())
    return there, "sha256:" + seen.hexdigest()


def of_disk(target: Path, error: OSError) -> Finding:
    """Return what a disk refused, and what to do about it."""
    fixes = {
        errno.ENOSPC: f"make room there, {_AGAIN}",
        errno.EDQUOT: f"make room there, {_AGAIN}",
        errno.EAGAIN: "another aiplat writes it: wait until that has ended",
        errno.ELOOP: "it is a link, which aiplat never made: remove it, and see whose medium it is",
        errno.EFBIG: "its file system has no files of this size (FAT32: up to 4 GiB); say a smaller --size",
    }
    problem = f"cannot be written: {error.strerror or error}"
    return Finding(str(target), problem, fixes.get(error.errno or 0, f"see the medium, {_AGAIN}"))
