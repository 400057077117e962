"""A file on its way: kept when it breaks off, resumed, named only once it is whole; asks nobody."""

from __future__ import annotations

import errno
import fcntl
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiplat.content import sha256_file
from aiplat.errors import AiplatError, Finding
from aiplat.supply.upstream.sentences import HttpFailed

OnBytes = Callable[[int, int], object]
_SPARE = 64 << 20
_LATER = "run the same command again; it resumes from here"
_ALTERED = "it is damaged, or was exchanged: do not use it; ask its project, or see what stands in between"
_ROOM = "make room, or point XDG_CACHE_HOME at a larger disk; what is there is kept"


@dataclass(frozen=True)
class WantedFile:
    """What a file must be; `where` names it in findings."""

    where: str
    digest: str | None
    size: int | None


class Partial:
    """The bytes of `target` that are there by now, in a file beside it.

    A second file beside that keeps the entity tag: without a digest to compare with, only a tag can tell
    that the rest belongs to the same content.
    """

    def __init__(self, target: Path, wanted: WantedFile, on_bytes: OnBytes | None) -> None:
        self._target = target
        self._wanted = wanted
        self._told = on_bytes or (lambda _done, _total: None)
        self._path = target.with_name(f"{target.name}.part")
        self._tag = target.with_name(f"{target.name}.part.etag")
        self._lock = target.with_name(f"{target.name}.part.lock")
        self._total = wanted.size
        self._resumed = False
        self.complete = False
        target.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others, in this process or another, from writing to the same file meanwhile."""
        with self._lock.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            self.complete = self._wanted.size is not None and self.offset == self._wanted.size
            try:
                yield
            finally:
                # Whoever waits for it finds the target whole, or starts with what is there.
                self._lock.unlink(missing_ok=True)

    @property
    def offset(self) -> int:
        """How many bytes are there."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def finished(self) -> tuple[str, int] | None:
        """Return digest and size if the whole file is there already; without a known digest it never is."""
        if self._wanted.digest is None or not self._target.is_file():
            return None
        try:
            found, size = sha256_file(self._target), self._target.stat().st_size
        except FileNotFoundError:
            return None  # another artifact that shares it was finished just now and removed it
        if found != self._wanted.digest:
            self._target.unlink(missing_ok=True)
            return None
        self._told(size, size)
        return found, size

    def range_headers(self) -> dict[str, str]:
        """Return the headers that ask for what is missing; nothing if all of it is."""
        tag = self._tag.read_text() if self._tag.is_file() else ""
        if self.offset and not tag and self._wanted.digest is None:
            self.forget()
        self._resumed = self.offset > 0
        if not self._resumed:
            return {}
        return {"Range": f"bytes={self.offset}-", **({"If-Range": tag} if tag else {})}

    def begins(self, status: int, headers: Mapping[str, str]) -> bool:
        """Take note of an answer's status and headers; False if its body does not continue what is there.

        `complete` is set where nothing is missing, whatever the body is then.

        Raises:
            AiplatError: the disk has no room for it.
            HttpFailed: it is not as large as it must be.
        """
        said = headers.get("Content-Range", "")
        if status == 416:
            self.complete = said == f"bytes */{self.offset}"
            if not self.complete:
                self.forget()
            return self.complete
        if status == 200:
            self.forget()
            length = headers.get("Content-Length", "")
            self._see_total(int(length) if length.isdecimal() else None)
        else:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", said)
            if found is None or int(found[1]) != self.offset:
                self.forget()
                return False
            self._see_total(int(found[2]) if found[2] != "*" else None)
        tag = headers.get("ETag", "")
        if tag and not tag.startswith("W/"):
            self._tag.write_text(tag)
        else:
            self._tag.unlink(missing_ok=True)
        return True

    def _see_total(self, total: int | None) -> None:
        """Compare the announced size with what it must be, and with the room there is."""
        wanted = self._wanted.size
        if total is not None and wanted is not None and total != wanted:
            self.forget()
            raise HttpFailed(Finding(self._wanted.where, f"has {total} bytes instead of {wanted}", _ALTERED))
        self._total = wanted if total is None else total
        missing = (self._total or 0) - self.offset
        free = shutil.disk_usage(self._path.parent).free
        if missing + _SPARE > free:
            problem = f"{free / 1e6:.0f} MB are free, but {missing / 1e6:.0f} MB are to come"
            raise AiplatError(Finding(str(self._path.parent), problem, _ROOM))

    def write(self, piece: bytes) -> None:
        """Add bytes at the end.

        Raises:
            AiplatError: the disk is full.
            HttpFailed: there are more than there may be.
        """
        if self._total is not None and self.offset + len(piece) > self._total:
            self.forget()
            raise HttpFailed(
                Finding(self._wanted.where, f"sends more than the {self._total} bytes it has", _ALTERED)
            )
        self._append(piece, self._path)
        self._told(self.offset, self._total or 0)

    def _append(self, piece: bytes, path: Path) -> None:
        try:
            with path.open("ab") as stream:
                stream.write(piece)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise AiplatError(Finding(str(path.parent), "the disk is full", _ROOM)) from error

    def end(self) -> None:
        """Take note that the body is over.

        Raises:
            HttpFailed: it is too short.
        """
        if self._total is not None and self.offset < self._total:
            problem = f"broke off at {self.offset} of {self._total} bytes"
            raise HttpFailed(Finding(self._wanted.where, problem, _LATER), again=True)
        self.complete = True

    def finish(self) -> tuple[str, int]:
        """Compare the whole with what it must be, give it its name, and return digest and size.

        Raises:
            HttpFailed: it is something else.
        """
        if not self._path.exists():
            self._path.touch()
        found, size = sha256_file(self._path), self.offset
        if self._wanted.digest not in {None, found}:
            # What came in pieces may have been pieces of different content.
            again, self.complete = self._resumed, False
            self.forget()
            problem = f"its content is {found}, not {self._wanted.digest}"
            raise HttpFailed(Finding(self._wanted.where, problem, _ALTERED), again=again)
        self._path.replace(self._target)
        self._tag.unlink(missing_ok=True)
        return found, size

    def forget(self) -> None:
        """Remove what is there, so that the next try starts at the first byte."""
        self._resumed = False
        for path in (self._path, self._tag):
            path.unlink(missing_ok=True)
