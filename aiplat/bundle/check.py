"""Compares a bundle with what bundle.json says of it, down to single bits; repairing is build's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

from aiplat.bundle.document import (
    CHECKSUM,
    DOCUMENT,
    SIGNED,
    BundledFile,
    BundleDocument,
    checksum_line,
    lock_digest,
    read_document,
)
from aiplat.catalog.artifacts import Digest
from aiplat.content import sha256_file
from aiplat.errors import Finding

Hashed = Callable[[int, int], None]
"""Told how many bytes were hashed, and of how many."""

_FIX = "make the bundle again: aiplat bundle build"
# Two sha256 that have nothing to do with each other differ in about 60 of 64 characters.
_FEW_CHARACTERS = 16
_LONGEST_NAME = 200


def verify(
    path: Path,
    digests: Collection[Digest] | None = None,
    on_progress: Hashed = lambda *_: None,
    opened: BundleDocument | None = None,
) -> list[Finding]:
    """Return a finding for every file of a bundle that is missing, was added or altered; none: it is whole.

    With `digests`, of all blobs only those are hashed, and added files are not looked for; the bundle's
    own files (bundle.json, index.json, oci-layout and the checksum) always are. `opened` is what was read of
    bundle.json before and counts instead of what stands there by now.
    """
    findings = _check_document(path)
    document = opened or _read(path)
    # What an altered bundle.json says of other files means nothing.
    if document is None or any(finding.where == DOCUMENT for finding in findings):
        return findings or [Finding(DOCUMENT, "is not what a bundle.json is", _FIX)]
    if lock_digest(document.lock) != document.lock_digest:
        findings.append(Finding(DOCUMENT, "its lock is not the one its lockDigest names", _FIX))
    wanted = _wanted(document, digests)
    findings += _check_files(path, wanted, on_progress)
    if digests is None:
        findings += _added(path, document)
    else:
        findings += _not_there(document, digests)
    return findings


def _check_document(path: Path) -> list[Finding]:
    """Compare bundle.json with the checksum beside it, and name the one that was altered."""
    missing = [name for name in (DOCUMENT, CHECKSUM) if not (path / name).is_file()]
    if missing:
        return [Finding(name, "is missing", _FIX) for name in missing]
    expected = checksum_line(sha256_file(path / DOCUMENT))
    with (path / CHECKSUM).open("rb") as stream:
        said = stream.read(len(expected) + 1)
    if said == expected:
        return []
    well_formed = re.fullmatch(rb"[0-9a-f]{64}  " + re.escape(DOCUMENT.encode()) + rb"\n", said)
    differing = sum(a != b for a, b in zip(said, expected, strict=False))
    if well_formed and differing >= _FEW_CHARACTERS:
        return [Finding(DOCUMENT, f"was altered: it is not what {CHECKSUM} says", _FIX)]
    return [Finding(CHECKSUM, f"was altered: it is not the checksum of {DOCUMENT}", _FIX)]


def _read(path: Path) -> BundleDocument | None:
    try:
        return BundleDocument.model_validate(read_document(path))
    except (OSError, ValueError):
        return None


def _wanted(document: BundleDocument, digests: Collection[Digest] | None) -> dict[str, BundledFile]:
    if digests is None:
        return document.files
    names = {_blob_name(digest) for digest in digests}
    return {n: f for n, f in document.files.items() if n in names or not n.startswith("blobs/")}


def _check_files(path: Path, files: dict[str, BundledFile], told: Hashed) -> Iterator[Finding]:
    total = sum(file.size for file in files.values())
    done = 0
    for name, file in sorted(files.items()):
        finding = _check_file(path / name, name, file)
        if finding:
            yield finding
        done += file.size
        told(done, total)


def _check_file(path: Path, name: str, file: BundledFile) -> Finding | None:
    if not _inside(name):
        return Finding(named(name), "is listed in bundle.json and lies outside of the bundle", _FIX)
    try:
        missing = path.is_symlink() or not path.is_file()
    except (OSError, ValueError):
        missing = True
    if missing:
        return Finding(named(name), "is missing", _FIX)
    name = named(name)
    size = path.stat().st_size
    if size != file.size:
        return Finding(name, f"was altered: it has {size} bytes instead of {file.size}", _FIX)
    if sha256_file(path) != file.sha256:
        return Finding(name, "was altered: its content has another sha256", _FIX)
    return None


def _inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts


def named(name: str) -> str:
    """Return the name of a file as it may be shown: on one line, without control characters, not endless."""
    short = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)


def _added(path: Path, document: BundleDocument) -> Iterator[Finding]:
    known = {*document.files, DOCUMENT, CHECKSUM, *SIGNED}
    for found in sorted(path.rglob("*")):
        name = str(found.relative_to(path))
        if (found.is_symlink() or not found.is_dir()) and name not in known:
            yield Finding(named(name), "was added: bundle.json does not list it", f"remove it, or {_FIX}")


def _not_there(document: BundleDocument, digests: Collection[Digest]) -> list[Finding]:
    absent = [digest for digest in digests if _blob_name(digest) not in document.files]
    return [Finding(_blob_name(digest), "is missing: the bundle never had it", _FIX) for digest in absent]


def _blob_name(digest: Digest) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def altered(path: Path, digest: Digest) -> bool:
    """Whether a blob's file is missing or its content is not what its name says."""
    return not path.is_file() or sha256_file(path) != digest
