"""Keeps what was made by the digest of what it was made of, each whole or not at all; makes nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from aiplat.catalog.artifacts import Artifact, Blob, Digest
from aiplat.errors import AiplatError, Finding
from aiplat.state import cache_home, private_dir
from aiplat.supply.contract import Supplied
from aiplat.supply.oci import blob_path

CAP_BYTES = 15 * 10**9
_RECORD = "artifact.json"


class Record(BaseModel):
    """What only an artifact's content can tell; kept beside it."""

    version: str
    digest: Digest
    file: Digest | None = None
    taken: dict[str, str] | None = None
    blobs: tuple[Blob, ...]

    def complete(self, artifact: Artifact) -> Artifact:
        """Return the artifact of a lock with what is recorded here."""
        return artifact.model_copy(update=dict(self))


class Cache:
    """Folders by key: `artifacts/` are OCI layouts, `parts/` what several of them share."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = private_dir(root or cache_home())

    def find(self, artifact: Artifact) -> Supplied | None:
        """Return the artifact if it was finished before, or None; one that lost a blob is not there."""
        folder = self._entry("artifacts", artifact.key)
        try:
            record = Record.model_validate_json((folder / _RECORD).read_bytes())
            whole = all(blob_path(folder, b.digest).stat().st_size == b.size for b in record.blobs)
        except (OSError, ValueError):
            return None
        if not whole:
            return None
        os.utime(folder)
        return Supplied(record.complete(artifact), folder)

    def artifact(self, artifact: Artifact, make: Callable[[Path], Record]) -> Supplied:
        """Return the artifact complete; `make` is called only if none of its inputs was finished before.

        Two callers with the same inputs, in this process or another, wait for each other.
        """
        with self._held(artifact.key):
            found = self.find(artifact)
            if found:
                return found
            with self._new("artifacts", artifact.key) as folder:
                record = make(folder)
                (folder / _RECORD).write_text(record.model_dump_json(indent=1))
            return Supplied(record.complete(artifact), self._entry("artifacts", artifact.key))

    def part(self, key: Digest, make: Callable[[Path], None]) -> Path:
        """Return the shared folder of `key`; `make` fills it if it is not there."""
        with self._held(key):
            folder = self._entry("parts", key)
            if folder.is_dir():
                os.utime(folder)
            else:
                with self._new("parts", key) as new:
                    make(new)
            return folder

    def kept(self, name: str) -> Path:
        """Return a folder for what is on its way; it outlives whoever is killed while filling it."""
        return private_dir(self.root / "kept" / name)

    def discard(self, key: Digest) -> None:
        """Forget an artifact whose content is damaged or has aged, so that it is made again."""
        with self._held(key):
            shutil.rmtree(self._entry("artifacts", key), ignore_errors=True)

    def discard_part(self, key: Digest) -> None:
        """Forget what several artifacts share, so that it is made again."""
        with self._held(key):
            shutil.rmtree(self._entry("parts", key), ignore_errors=True)

    @contextmanager
    def work(self) -> Iterator[Path]:
        """Give a folder on the cache's file system that goes away afterwards; clear dead processes'."""
        parent = private_dir(self.root / "work")
        for left in parent.iterdir():
            if not Path("/proc", left.name.partition(".")[0]).exists():
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            dir=parent, prefix=f"{os.getpid()}.", ignore_cleanup_errors=True
        ) as name:
            yield Path(name)

    def prune(self, keep: Collection[Digest], cap: int = CAP_BYTES) -> None:
        """Remove what was used longest ago until the cache is below `cap` bytes; `keep` are keys in use."""
        kept = {digest.removeprefix("sha256:") for digest in keep}
        entries = [p for kind in ("artifacts", "parts") for p in self._all(kind) if p.name not in kept]
        used = sum(folder_size(entry) for kind in ("artifacts", "parts") for entry in self._all(kind))
        for entry in sorted(entries, key=lambda p: p.stat().st_mtime):
            if used <= cap:
                return
            used -= folder_size(entry)
            shutil.rmtree(entry, ignore_errors=True)

    def require_space(self, needed: int) -> None:
        """See that `needed` bytes are free where the cache is.

        Raises:
            AiplatError: they are not.
        """
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise AiplatError(
                Finding(
                    str(self.root),
                    f"{free / 1e9:.1f} GB are free, but building needs about {needed / 1e9:.1f} GB",
                    "free some space, or point XDG_CACHE_HOME at a larger disk",
                )
            )

    def _all(self, kind: str) -> list[Path]:
        folder = self.root / kind
        return [p for p in folder.iterdir() if not p.name.startswith(".")] if folder.is_dir() else []

    def _entry(self, kind: str, key: Digest) -> Path:
        return private_dir(self.root / kind) / key.removeprefix("sha256:")

    @contextmanager
    def _new(self, kind: str, key: Digest) -> Iterator[Path]:
        """Give an empty folder that gets its name only once it is filled; clear what a killed run left."""
        entry = self._entry(kind, key)
        partial = entry.with_name(f".partial-{entry.name}")
        for stale in (partial, entry):
            shutil.rmtree(stale, ignore_errors=True)
        partial.mkdir(mode=0o700)
        try:
            yield partial
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        partial.rename(entry)

    @contextmanager
    def _held(self, key: Digest) -> Iterator[None]:
        lock = private_dir(self.root / "locks") / key.removeprefix("sha256:")
        with lock.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below `folder`, a file with several names counted once."""
    seen: dict[int, int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            seen[status.st_ino] = status.st_size
    return sum(seen.values())
