"""Brings a bundle's images, charts and models into a registry that a site has; speaking to it is supply's."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiplat.bundle.bundle import Bundle
from aiplat.catalog.artifacts import Artifact, ArtifactKind
from aiplat.content import sha256_file
from aiplat.errors import BadInput, CheckFailed, Finding
from aiplat.supply.contract import Phase
from aiplat.supply.oci import Descriptor, blob_path, media_type_of, read_json
from aiplat.supply.upstream.registry_push import PushTarget

PUSH = "push"
KINDS: tuple[ArtifactKind, ...] = ("image", "chart", "model")
_PASSWORD_BYTES = 64 << 10
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")


@dataclass(frozen=True)
class PushResult:
    """Names that were written, and names that stood for the same content already; bytes that were sent."""

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    sent: int = 0


def push_bundle(
    bundle: Bundle, target: PushTarget, prefix: str, kinds: Sequence[ArtifactKind], told: Phase
) -> PushResult:
    """Push the artifacts of these kinds as `PREFIX/NAME:VERSION`; what the registry has is not sent again.

    Raises:
        CheckFailed: content of the bundle was altered; nothing of that artifact was sent.
        AiplatError: the registry does not take something.
    """
    chosen = [artifact for artifact in bundle.lock.artifacts if artifact.kind in kinds]
    places = [(artifact, repository_of(prefix, artifact), tag_of(artifact)) for artifact in chosen]
    total = sum(artifact.size for artifact in chosen)
    written: list[str] = []
    kept: list[str] = []
    done = sent = 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        told(PUSH, done, total)

    for artifact, repository, tag in places:
        digest = str(artifact.digest)
        began = done
        if target.has_manifest(repository, tag, digest):
            kept.append(f"{repository}:{tag}")
        else:
            sent += _push(bundle, target, artifact, repository, moved)
            body = blob_path(bundle.path, digest).read_bytes()
            target.put_manifest(repository, tag, body, media_type_of(bundle.path, digest))
            written.append(f"{repository}:{tag}")
        moved(artifact.size - (done - began))
    return PushResult(written, kept, sent)


def repository_of(prefix: str, artifact: Artifact) -> str:
    """Return where an artifact goes: its whole upstream name below the prefix, so that no two meet.

    Raises:
        BadInput: that is not a name that registries take.
    """
    name = "/".join(part for part in (prefix, artifact.name) if part)
    if not _REPOSITORY.fullmatch(name):
        problem = f"{name} is not a repository's name: lower-case letters, digits, . _ - and /"
        raise BadInput(Finding("--to", problem, "write registry.example:5000/ward"))
    return name


def tag_of(artifact: Artifact) -> str:
    """Return an artifact's tag; a + has no place in one.

    Raises:
        BadInput: it is none; one with / and .. would be another repository's.
    """
    tag = artifact.version.replace("+", "_")
    if not _TAG.fullmatch(tag):
        raise BadInput(
            Finding(artifact.ref, f"{tag} is not a tag", "use a bundle that `aiplat bundle build` made")
        )
    return tag


def _push(
    bundle: Bundle, target: PushTarget, artifact: Artifact, repository: str, moved: Callable[[int], None]
) -> int:
    """Send blobs and the manifests below the artifact's own; return the bytes that were sent."""
    _see_whole(bundle, artifact)
    sent = 0
    # What a manifest names may be any path of this machine: only what was hashed just now is sent.
    there = {blob.digest: blob.size for blob in artifact.blobs}
    for manifest in _manifests(bundle.path, str(artifact.digest), there):
        document = read_json(bundle.path, manifest)
        for blob in _blobs(document):
            if there.get(blob["digest"]) != blob["size"]:
                problem = "names content that bundle.json does not list for it"
                raise CheckFailed([Finding(artifact.ref, problem, "run `aiplat bundle verify`")])
            if target.put_blob(repository, bundle.path, blob, moved):
                sent += blob["size"]
        if manifest != artifact.digest:
            body = blob_path(bundle.path, manifest).read_bytes()
            target.put_manifest(repository, manifest, body, media_type_of(bundle.path, manifest))
    return sent


def _see_whole(bundle: Bundle, artifact: Artifact) -> None:
    damaged = [
        Finding(f"blobs/sha256/{blob.digest[7:]}", "was altered, or is missing", "run `aiplat bundle verify`")
        for blob in artifact.blobs
        if not (path := blob_path(bundle.path, blob.digest)).is_file() or sha256_file(path) != blob.digest
    ]
    if damaged:
        raise CheckFailed(damaged)


def _manifests(layout: Path, digest: str, there: Collection[str]) -> Iterator[str]:
    """Yield the manifests of an artifact that are there, its own last."""
    for child in read_json(layout, digest).get("manifests", ()):
        if child["digest"] in there:
            yield from _manifests(layout, child["digest"], there)
    yield digest


def _blobs(document: dict[str, Any]) -> list[Descriptor]:
    found = [*([document["config"]] if "config" in document else []), *document.get("layers", ())]
    return list({blob["digest"]: blob for blob in found}.values())


def see_password_file(path: Path) -> str:
    """Return what a file with `user:password` says.

    Raises:
        BadInput: others may read it, or it says something else.
    """
    try:
        with path.open() as stream:
            mode = os.fstat(stream.fileno()).st_mode
            text = stream.read(_PASSWORD_BYTES).strip()
    except (OSError, UnicodeDecodeError):
        raise BadInput(Finding(str(path), "cannot be read", "write user:password into it")) from None
    if mode & 0o077:
        raise BadInput(Finding(str(path), "others may read it", f"chmod 600 {path}"))
    if ":" not in text or "\n" in text:
        raise BadInput(Finding(str(path), "is not one line user:password", "write just that into it"))
    return text
