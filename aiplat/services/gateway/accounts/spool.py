"""What could not be written to the database yet, on disk: appended, read again in order, removed.

A segment is removed only after all of it is in the database, where each line counts once however often it
comes: so nothing is lost and nothing counts twice, wherever the process ends in between.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

_SEGMENT_BYTES = 4 << 20
_REJECTED = "rejected.jsonl"


class SpoolFull(Exception):
    """The folder holds as much as it may, or the disk as much as it can."""


class Spool:
    """A folder of segments; one process at a time may use it."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Open the folder, which is made where it is missing.

        Raises:
            OSError: it cannot be made, or another process uses it.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._most = most_bytes
        self._lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise OSError(f"{folder}: another gateway keeps its usage here; give each a folder") from error
        self._sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.spool"))}
        self._next = 1 + max((int(name.partition(".")[0]) for name in self._sizes), default=0)
        # Never appended to what an earlier process wrote: its last line may be half of one.
        self._open: str | None = None

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return sum(self._sizes.values())

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._sizes

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines; they are on the disk when this returns.

        Raises:
            SpoolFull: they are not.
        """
        data = b"".join(line + b"\n" for line in lines)
        if self.size + len(data) > self._most:
            raise SpoolFull(f"{self._folder} holds {self.size} bytes, as much as it may")
        name = self._open
        if name is None or self._sizes.get(name, 0) >= _SEGMENT_BYTES:
            name = f"{self._next:08d}.spool"
        try:
            self._write(self._folder / name, data)
        except OSError as error:
            raise SpoolFull(f"{self._folder}: {error.strerror}") from error
        if name != self._open:
            # Only what was written is open: a name without a file would be asked for its size.
            self._open, self._next = name, self._next + 1
        self._sizes[name] = self._sizes.get(name, 0) + len(data)

    def _write(self, path: Path, data: bytes) -> None:
        begin = self._sizes.get(path.name, 0)
        file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            # Over what a write that failed half-way may have left.
            os.ftruncate(file, begin)
            view = memoryview(data)
            while view:
                written = os.pwrite(file, view, begin)
                view, begin = view[written:], begin + written
            os.fsync(file)
            if path.name not in self._sizes:
                self._sync_folder()
        finally:
            os.close(file)

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def oldest(self) -> tuple[str, list[bytes]] | None:
        """Return the oldest segment and its whole lines; None when nothing waits.

        A last line without an end was being written when a process died: nobody was told it was kept.

        Raises:
            OSError: it cannot be read now.
        """
        if not self._sizes:
            return None
        name = next(iter(self._sizes))
        if name == self._open:
            self._open = None
        try:
            data = (self._folder / name).read_bytes()
        except FileNotFoundError:
            # Somebody removed it: it cannot be asked for again and again.
            data = b""
        return name, data.split(b"\n")[:-1]

    def remove(self, name: str) -> None:
        """Forget a segment whose lines are all in the database."""
        (self._folder / name).unlink(missing_ok=True)
        self._sizes.pop(name, None)

    def reject(self, line: bytes) -> None:
        """Keep a line that the database refuses, for a person to look at.

        Raises:
            SpoolFull: it cannot be kept.
        """
        path = self._folder / _REJECTED
        try:
            if path.exists() and path.stat().st_size + len(line) > self._most:
                raise SpoolFull(f"{path} is as large as it may be")
            file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(file, 0o600)
                os.write(file, line + b"\n")
            finally:
                os.close(file)
        except OSError as error:
            raise SpoolFull(f"{path}: {error.strerror}") from error

    def close(self) -> None:
        """Let another process use the folder."""
        os.close(self._lock)
