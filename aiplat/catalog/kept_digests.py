"""Digests of large files, kept by what the file system says of them, so that weights are hashed once."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from aiplat.content import canonical_json, parsed_json, sha256_file, write_atomic
from aiplat.state import cache_home

_KEPT = "digests.json"
_MOST = 4096  # files; then those that were noted first go
_reading = threading.Lock()


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
        digest = sha256_file(path)
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
