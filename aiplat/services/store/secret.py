"""API keys as secrets: how one is made and what is stored of it; nothing else is known of keys here."""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "sk-aiplat-"


def new_secret() -> str:
    """Return a new key: 256 random bits behind a prefix that scanners for leaked keys can know."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(secret: str) -> str:
    """Return what is stored of a key: `sha256:<hex>`.

    A plain fast hash is right here because keys are 256 random bits: there is nothing to guess.
    """
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
