"""Keys of two people and a site that trusts one of them, with the real ssh-keygen."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.statement import Statement, sign_bundle
from aiplat.bundle.trust import Signer, public_key
from aiplat.signed import Signed
from aiplat.site.models import Site

YEAR = timedelta(days=365)
OLD = timedelta(days=-2)
"""Longer ago than what a clock may be off."""


def make_key(folder: Path, name: str) -> Path:
    """Return a key of somebody."""
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
    return key


def list_of(folder: Path, *keys: Path, until: str = "") -> Path:
    """Return a list on which these keys may sign."""
    signers = folder / "allowed_signers"
    lines = [Signer(f"ward-{n}", public_key(key), until).line for n, key in enumerate(keys, 1)]
    signers.write_text("".join(lines))
    return signers


def trusting(site: Site, bundle: Bundle, signers: Path) -> Site:
    """Return a site that installs from a bundle, and only if one of the list signed it."""
    named = {**site.model_dump(by_alias=True), "supply": f"bundle:{bundle.path}"}
    return Site.model_validate({**named, "trust": {"signers": signers}})


def sign(bundle: Bundle, key: Path, site: str = "ward", valid: timedelta = YEAR, last: int = 0) -> Statement:
    """Sign a bundle."""
    return sign_bundle(bundle.path, site, key, valid, last)


def with_document(signed: Signed, document: bytes) -> Signed:
    """Return what is judged with another bundle.json."""
    return signed._replace(document=document)
