"""An opened bundle: its lock and where its blobs are; making and checking it are in the modules beside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aiplat import API_VERSION
from aiplat.bundle.document import DOCUMENT, BundleDocument, read_bytes
from aiplat.bundle.parts.listing import LIST, WORK, read_list
from aiplat.catalog.artifacts import Artifact, Digest, Lock
from aiplat.content import parsed_json
from aiplat.errors import BadInput, Finding
from aiplat.signed import Signed
from aiplat.site.models import Site
from aiplat.state import bundle_dir
from aiplat.supply.oci import blob_path


def bundle_path(site: Site) -> Path:
    """Return the folder of the site's bundle: the one site.yaml names, or the one built for it."""
    if site.supply.startswith("bundle:"):
        return Path(site.supply.removeprefix("bundle:"))
    return bundle_dir(site.name)


@dataclass(frozen=True)
class Bundle:
    """A folder that holds everything a lock names; `signed` is what its hosts are to verify, if anything."""

    path: Path
    document: BundleDocument
    text: bytes = b""
    """bundle.json as it was read: what is signed is these bytes, whatever stands there by now."""
    signed: Signed | None = None

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Read a bundle's bundle.json; no content is hashed.

        Raises:
            BadInput: there is no bundle, it is damaged, or a newer aiplat made it.
        """
        text = b""
        try:
            text = read_bytes(path)
            document = parsed_json(text)
        except OSError:
            raise BadInput(not_a_bundle(path)) from None
        except ValueError:
            raise BadInput(_damaged(path, "" if text.endswith(b"}\n") else ": its end was cut off")) from None
        return cls(path, _document(path, document), text)

    @property
    def lock(self) -> Lock:
        """The complete lock that this bundle fulfils."""
        return self.document.lock

    def blob_path(self, digest: Digest) -> Path:
        """Return the file with the content of `digest`.

        Raises:
            KeyError: the bundle does not have it.
        """
        if f"blobs/sha256/{digest.removeprefix('sha256:')}" not in self.document.files:
            raise KeyError(digest)
        return blob_path(self.path, digest)

    @property
    def saved(self) -> int:
        """Bytes that artifacts share, and that are there once instead of with each of them."""
        once = {blob.digest: blob.size for artifact in self.lock.artifacts for blob in artifact.blobs}
        return sum(artifact.size for artifact in self.lock.artifacts) - sum(once.values())

    def info(self) -> dict[str, Any]:
        """Return what is in the bundle, for people and for --json. Sizes in bytes."""
        return {
            "apiVersion": API_VERSION,
            "kind": "BundleInfo",
            "path": str(self.path),
            "site": self.lock.site,
            "supply": self.lock.supply,
            "lockDigest": self.document.lock_digest,
            "files": len(self.document.files),
            "size": self.document.size,
            "saved": self.saved,
            "artifacts": [_row(artifact) for artifact in self.lock.artifacts],
        }


def in_parts(path: Path) -> bool:
    """Whether a folder has parts of a bundle."""
    return any((path / name).is_file() for name in (LIST, f"{WORK}/{LIST}"))


def not_a_bundle(path: Path) -> Finding:
    """Return what a folder has instead of a bundle, and how one comes of it."""
    parts = read_list(path)
    if (path / WORK).is_dir():
        return Finding(str(path), "is a bundle of which parts are missing", "run `aiplat bundle join` again")
    if parts and parts.base:
        problem = f"holds only what the bundle with bundle.json {parts.base} has not"
        return Finding(str(path), problem, "join it with its base: aiplat bundle join --base")
    if parts:
        return Finding(str(path), "holds a bundle in parts", "join them: aiplat bundle join")
    return Finding(str(path), "is not a bundle", "make one: aiplat bundle build")


def _row(artifact: Artifact) -> dict[str, Any]:
    names = ("kind", "name", "version", "component", "platform", "digest", "size", "taken")
    return {name: getattr(artifact, name) for name in names}


def _document(path: Path, document: Any) -> BundleDocument:
    said = document.get("apiVersion") if isinstance(document, dict) else None
    if isinstance(said, str) and said != API_VERSION:
        problem = f"was made for {said}, this aiplat reads {API_VERSION}"
        raise BadInput(Finding(str(path), problem, "use the aiplat that made it, or a newer one"))
    try:
        return BundleDocument.model_validate(document)
    except ValidationError:
        raise BadInput(_damaged(path)) from None


def _damaged(path: Path, how: str = "") -> Finding:
    return Finding(str(path / DOCUMENT), f"is damaged{how}", "make the bundle again: aiplat bundle build")
