"""bundle.json as a frozen model and the names of a bundle's own files; reading content is not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aiplat.catalog.artifacts import Digest, Lock
from aiplat.content import digest_of, parsed_json
from aiplat.frozen import Frozen
from aiplat.signed import SIGNATURE, STATEMENT

DOCUMENT = "bundle.json"
CHECKSUM = "bundle.json.sha256"
LAYOUT = "oci-layout"
INDEX = "index.json"
SIGNED = (STATEMENT, SIGNATURE)
"""What a signed bundle has beside bundle.json, which cannot list them."""
INSTALLER = "install"
"""Installs aiplat from the bundle's runtime; only bundles with a runtime have it."""
_DOCUMENT_BYTES = 64 << 20  # a line of 200 bytes for each file: some hundred thousand of them


class BundledFile(Frozen):
    """What one file must be; `size` in bytes."""

    sha256: Digest
    size: int = Field(ge=0)


class BundleDocument(Frozen):
    """bundle.json: the lock the bundle fulfils, and every other file of it by its relative path."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Bundle"] = "Bundle"
    lock_digest: Digest = Field(alias="lockDigest")
    lock: Lock
    files: dict[str, BundledFile]

    @property
    def size(self) -> int:
        """Bytes of all files it lists."""
        return sum(file.size for file in self.files.values())


def read_document(path: Path) -> Any:
    """Return what a bundle's bundle.json holds, whatever that is.

    Raises:
        OSError: there is none.
        ValueError: it is not JSON, or larger than any bundle's.
    """
    return parsed_json(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """Return a bundle's bundle.json as it is.

    Raises:
        OSError: there is none.
        ValueError: it is larger than any bundle's.
    """
    # A pipe or a device in its place would never end.
    if not (path / DOCUMENT).is_file():
        raise FileNotFoundError(path / DOCUMENT)
    with (path / DOCUMENT).open("rb") as stream:
        text = stream.read(_DOCUMENT_BYTES + 1)
    if len(text) > _DOCUMENT_BYTES:
        raise ValueError("it is too large")
    return text


def lock_digest(lock: Lock) -> Digest:
    """Return the identity of a lock: the digest of all it says."""
    document = lock.model_dump(mode="json", by_alias=True)
    for artifact in document["artifacts"]:
        # Bundles from before these were noted keep their digests.
        for name in ("taken", "source", "pinned", "download", "platforms", "os", "packages", "own"):
            if not artifact[name]:
                del artifact[name]
        if artifact["when"] == "always":
            del artifact["when"]
    return digest_of(document)


def checksum_line(document: Digest) -> bytes:
    """Return the content of bundle.json.sha256, in the form that `sha256sum --check` reads."""
    return f"{document.removeprefix('sha256:')}  {DOCUMENT}\n".encode()
