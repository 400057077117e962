"""Who may ask: keys and where they are kept; budgets and rates are for admission."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from aiplat.services.store.secret import hash_key

_HASH = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key that is known; `id` is what logs and metrics may show.

    It may use a model that each of `scopes` names; a name ending in `*` stands for all that begin so.
    `expires_at` is in seconds since 1970. Rates are per minute and per gateway process; None means no limit.
    """

    id: str
    team: str = ""
    scopes: tuple[tuple[str, ...], ...] = ()
    on_outage: Literal["serve", "refuse"] = "serve"
    expires_at: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def allows(self, names: Iterable[str]) -> bool:
        """Whether the key may use a model that has these names."""
        return all(any(_names(pattern, n) for pattern in scope for n in names) for scope in self.scopes)

    def expired(self, now: float) -> bool:
        """Whether the key was good once and is not at `now`."""
        return self.expires_at is not None and now >= self.expires_at


def _names(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern


class KeyStore(Protocol):
    """Where keys are looked up; answers from memory, because it is asked on every request."""

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that `presented` is the secret of, or None; an expired one is returned too.

        Raises:
            ApiError: it cannot be known at the moment.
        """


class NoKeys:
    """Knows no key."""

    def find(self, presented: str) -> ApiKey | None:  # noqa: ARG002 - the protocol's name
        """Return None."""
        return None


class FileKeyStore:
    """Keys from a folder, as Kubernetes mounts a Secret: a file per key, named by its id, holds its hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_hash: dict[str, ApiKey] = {}
        self.reload()

    def reload(self) -> None:
        """Read the folder again; keeps the old keys when it cannot be read whole.

        Raises:
            ValueError: a file does not hold a sha256.
            OSError: the folder cannot be read.
        """
        fresh: dict[str, ApiKey] = {}
        # Kubernetes keeps the real files behind names that begin with "..".
        for path in sorted(p for p in self.folder.iterdir() if not p.name.startswith(".")):
            match = _HASH.fullmatch(path.read_text().strip())
            if match is None:
                raise ValueError(f"{path}: not a sha256; expected `sha256:` and 64 hex digits")
            fresh["sha256:" + match[1]] = ApiKey(id=path.name)
        self._by_hash = fresh

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that `presented` is the secret of, or None; no secret is ever compared itself."""
        digest = hash_key(presented)
        found: ApiKey | None = None
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
