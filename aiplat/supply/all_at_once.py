"""Works on all artifacts of a lock side by side, and tells all that is wrong at once; the work is given."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.errors import AiplatError, Finding

Done = TypeVar("Done")


class Stoppable(Protocol):
    """A supply as far as it is stopped: how many artifacts it takes at once, and how it ends."""

    concurrency: int

    def stop(self) -> None:
        """End what is under way."""


def of_each(lock: Lock, supply: Stoppable, work: Callable[[Artifact], Done]) -> list[Done]:
    """Return what `work` makes of each artifact, in the order of the lock.

    Raises:
        AiplatError: some could not be worked on; raised when the last one has been tried, with every finding.
    """
    findings: list[Finding] = []
    done: list[Done] = []
    pool = ThreadPoolExecutor(max_workers=supply.concurrency)
    try:
        futures = [pool.submit(work, artifact) for artifact in lock.artifacts]
        for future in futures:
            try:
                done.append(future.result())
            except AiplatError as error:
                findings += [f for f in error.findings if f not in findings]
    except BaseException:
        # Whoever interrupted does not want to wait for a compiler or a server.
        pool.shutdown(wait=False, cancel_futures=True)
        supply.stop()
        raise
    finally:
        pool.shutdown()
    if findings:
        raise AiplatError(findings)
    return done
