"""Brings the parts of one artifact side by side and keeps what came; who is asked how is the protocols'."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aiplat.catalog.artifacts import Blob, Digest
from aiplat.content import sha256_file
from aiplat.errors import AiplatError, Finding
from aiplat.supply.upstream.fetcher import FetchOrder
from aiplat.supply.upstream.partial import OnBytes

FETCH = "fetch bytes"
"""The phase in which bytes come."""


@dataclass(frozen=True)
class Part:
    """One blob of an artifact, and what brings it to a file."""

    blob: Blob
    bring: Callable[[Path, OnBytes], object]


class Downloads:
    """What is kept of one artifact until all of it is there, so that a killed run continues."""

    def __init__(self, order: FetchOrder) -> None:
        self._order = order
        self._lock = threading.Lock()
        self._done: dict[Digest, int] = {}

    def path(self, digest: Digest) -> Path:
        """Return where the content of `digest` is kept, whether or not it is there."""
        return self._order.kept / digest.removeprefix("sha256:")

    def bring(self, parts: Sequence[Part], use: Callable[[Blob, Path], object] | None = None) -> None:
        """Bring all parts, the largest first; what is there and whole is not asked for again.

        `use` is called with each as soon as it is there.

        Raises:
            AiplatError: some cannot be had; all others were brought and are kept.
        """
        total = sum(part.blob.size for part in parts)
        pool = ThreadPoolExecutor(max_workers=self._order.site.upstream.concurrency)
        try:
            largest = sorted(parts, key=lambda part: -part.blob.size)
            _wait([pool.submit(self._one, part, total, use) for part in largest])
        finally:
            # Whoever interrupted does not want to wait for what has not begun.
            pool.shutdown(cancel_futures=True)

    def forget(self, blobs: Iterable[Blob]) -> None:
        """Remove what is kept of these: the artifact is finished."""
        for blob in blobs:
            self.path(blob.digest).unlink(missing_ok=True)

    def _one(self, part: Part, total: int, use: Callable[[Blob, Path], object] | None) -> None:
        blob, target = part.blob, self.path(part.blob.digest)
        while True:
            try:
                if not target.is_file() or sha256_file(target) != blob.digest:
                    part.bring(target, lambda done, _: self._saw(blob.digest, done, total))
                self._saw(blob.digest, blob.size, total)
                if use:
                    use(blob, target)
            except FileNotFoundError:
                # Another artifact that shares it was finished just now and removed what was kept.
                continue
            return

    def _saw(self, digest: Digest, done: int, total: int) -> None:
        with self._lock:
            self._done[digest] = done
            self._order.phase(FETCH, sum(self._done.values()), total)


def _wait(futures: Sequence[Future[None]]) -> None:
    findings: list[Finding] = []
    for future in futures:
        try:
            future.result()
        except AiplatError as error:
            findings += [finding for finding in error.findings if finding not in findings]
    if findings:
        raise AiplatError(findings)


def exchanged(what: str, pinned: Digest, found: Digest) -> AiplatError:
    """Return what it means that upstream has something else than what was pinned."""
    problem = f"upstream has {found} now, but {pinned} is locked"
    return AiplatError(Finding(what, problem, "if its project announced that: aiplat lock --update"))
