"""What every supply offers and what builders are given and give back; how anything is made is not here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aiplat.catalog.artifacts import Artifact, Digest
from aiplat.catalog.components import Component
from aiplat.catalog.recipes import Recipe

Phase = Callable[[str, int, int], None]
"""Told what is going on (`compile packages`), how much is done and of how much (0: unknown)."""


DONE = "done"
"""The last phase of every artifact, also of one that was made before."""


class SupplyProgress(Protocol):
    """Told about every artifact: what is going on, how much is done and of how much (0: unknown)."""

    def __call__(self, artifact: Artifact, phase: str, done: int, total: int) -> None:
        """Take note; called often and from more than one thread."""


@dataclass(frozen=True)
class Supplied:
    """A complete artifact and the OCI layout folder that holds its blobs."""

    artifact: Artifact
    folder: Path


@dataclass(frozen=True)
class Aged:
    """An artifact with Debian packages that have newer versions: name → version it has, version there is.

    No packages: it does not say what it was made of.
    """

    artifact: Artifact
    packages: Mapping[str, tuple[str, str]]

    def __str__(self) -> str:
        """Render as a line for people."""
        newer = ", ".join(f"{name} {old} → {new}" for name, (old, new) in sorted(self.packages.items()))
        return f"{self.artifact.label}: {newer or 'does not say which Debian packages it has'}"


@dataclass(frozen=True)
class Made:
    """What a builder made in the layout folder it was given.

    `version` is set where the exact version is only known now; `file` is the digest of the single file
    that a host file or chart consists of.
    """

    manifest: Digest
    version: str | None = None
    file: Digest | None = None


@dataclass(frozen=True)
class Job:
    """Everything a builder may use to make one artifact in `folder`, an empty OCI layout.

    `part` returns a folder that several artifacts share, made once by the given function; `other`
    returns an artifact that this one is made with; `work` is a folder that goes away afterwards. `taken`
    is where it notes Debian packages that it puts in, `release/name` → version.
    """

    artifact: Artifact
    component: Component
    recipe: Recipe
    folder: Path
    work: Path
    phase: Phase
    part: Callable[[str, Callable[[Path], None]], Path]
    cache: Path
    other: Callable[[str, str], Supplied]
    taken: dict[str, str] = field(default_factory=dict)


Builder = Callable[[Job], Made]


class Supply(Protocol):
    """Where artifacts come from."""

    name: str
    concurrency: int
    """How many artifacts it may be asked for at once."""

    def check(self, artifacts: Iterable[Artifact]) -> None:
        """See that all of them could be supplied now.

        Raises:
            AiplatError: naming everything that is missing, at once.
        """

    def supply(self, artifact: Artifact, on_progress: SupplyProgress) -> Supplied:
        """Return the artifact complete with digest, sizes and content; made only if it never was before.

        Raises:
            AiplatError: it cannot be made; the finding says why.
        """

    def discard(self, artifact: Artifact) -> None:
        """Forget what is kept of a damaged artifact, so that the next call makes it again."""

    def refresh(self, artifacts: Iterable[Artifact]) -> list[Aged]:
        """Forget what has Debian packages with newer versions, so that it is made again; return it.

        Raises:
            AiplatError: Debian's index cannot be had.
        """
        ...

    def stop(self) -> None:
        """End what is being made just now, because nobody waits for it any more."""
