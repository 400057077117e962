"""Digests of large files, kept by what the file system says of them, so that weights are hashed once."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from aiplat.content import canonical_json, parsed_json, write_atomic
from aiplat.state import cache_home

_KEPT = "digests.json"
_MOST = 4096  # files; then those that were noted first go
_CHUNK = 8 << 20
_reading = threading.Lock()

Hashed = Callable[[Path, int, int], None]
"""Told which file is read, how many bytes were, and of how many."""
_watchers: list[Hashed] = []


def watch_hashing(watcher: Hashed) -> None:
    """Have someone told while a file is hashed: that of many gigabytes takes minutes."""
    _watchers[:] = [watcher]


def kept_digest(path: Path) -> str:
    """Return the digest of a file; it is hashed if its place, size or a time of it is another than before.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    # The time of the last change of any kind cannot be set back, as the other one can.
    times = (status.st_mtime_ns, status.st_ctime_ns)
    key = " ".join(map(str, (status.st_dev, status.st_ino, status.st_size, *times, path.resolve())))
    store = cache_home() / _KEPT
    with _reading:
        known = _known(store)
        if key in known:
            return known[key]
        digest = _hashed(path, status.st_size)
        kept = dict(list({**known, key: digest}.items())[-_MOST:])
        # A cache that cannot be written costs time alone.
        with contextlib.suppress(OSError):
            write_atomic(store, canonical_json(list(kept.items())), mode=0o600)
    return digest


def _known(store: Path) -> dict[str, str]:
    try:
        return {str(key): str(digest) for key, digest in parsed_json(store.read_bytes())}
    except (OSError, ValueError, TypeError):
        return {}


def _hashed(path: Path, size: int) -> str:
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
            done += len(piece)
            for watcher in _watchers:
                watcher(path, done, size)
    return f"sha256:{digest.hexdigest()}"
