"""Who may ask: keys and where they are kept; what a key may do beyond asking is not decided here."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_HASH = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Key:
    """An API key that is known; `id` is what logs and metrics may show."""

    id: str


class KeyStore(Protocol):
    """Where keys are looked up; answers from memory, because it is asked on every request."""

    def find(self, presented: str) -> Key | None:
        """Return the key that `presented` is the secret of, or None."""


def hash_key(secret: str) -> str:
    """Return what is stored of a key: `sha256:<hex>`.

    A plain fast hash is right here because keys are 256 random bits: there is nothing to guess.
    """
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


class FileKeyStore:
    """Keys from a folder, as Kubernetes mounts a Secret: a file per key, named by its id, holds its hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_hash: dict[str, Key] = {}
        self.reload()

    def reload(self) -> None:
        """Read the folder again; keeps the old keys when it cannot be read whole.

        Raises:
            ValueError: a file does not hold a sha256.
            OSError: the folder cannot be read.
        """
        fresh: dict[str, Key] = {}
        # Kubernetes keeps the real files behind names that begin with "..".
        for path in sorted(p for p in self._folder.iterdir() if not p.name.startswith(".")):
            match = _HASH.fullmatch(path.read_text().strip())
            if match is None:
                raise ValueError(f"{path}: not a sha256; expected `sha256:` and 64 hex digits")
            fresh["sha256:" + match[1]] = Key(id=path.name)
        self._by_hash = fresh

    def find(self, presented: str) -> Key | None:
        """Return the key that `presented` is the secret of, or None; no secret is ever compared itself."""
        digest = hash_key(presented)
        found: Key | None = None
        for known, key in self._by_hash.items():
            if hmac.compare_digest(known, digest):
                found = key
        return found


def bearer(headers: dict[bytes, bytes]) -> str | None:
    """Return the secret in `Authorization: Bearer`, or None."""
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    return secret.strip().decode("latin-1") or None
