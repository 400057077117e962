"""Signs a bundle: a statement about bundle.json and a key's signature of it; judging is aiplat.signed's."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from aiplat.bundle.document import INDEX, read_bytes
from aiplat.catalog.artifacts import Digest
from aiplat.content import canonical_json, sha256_bytes, sha256_file, write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.frozen import Frozen
from aiplat.signed import NAMESPACE, SIGNATURE, STATEMENT

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_COUNTER = "%Y%m%d%H%M%S"


class Statement(Frozen):
    """What is signed; `bundle` is the sha256 of bundle.json, which lists every other file by its own."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["BundleStatement"] = "BundleStatement"
    site: str
    bundle: Digest
    index: Digest
    sequence: int
    created: str
    expires: str


def sign_bundle(path: Path, site: str, key: Path, valid: timedelta, last: int) -> Statement:
    """Sign the bundle in a folder for a site and return the statement; one that was there is replaced.

    Raises:
        BadInput: the key cannot sign.
    """
    now = datetime.now(UTC)
    statement = Statement(
        site=site,
        bundle=sha256_bytes(read_bytes(path)),
        index=sha256_file(path / INDEX),
        sequence=sequence_after(last),
        created=now.strftime(_TIME),
        expires=(now + valid).strftime(_TIME),
    )
    text = canonical_json(statement.model_dump(mode="json", by_alias=True)) + b"\n"
    signature = signature_of(text, key, NAMESPACE)
    # Cut off between two of these, it is an unsigned bundle, not one that looks altered.
    (path / SIGNATURE).unlink(missing_ok=True)
    write_atomic(path / STATEMENT, text)
    write_atomic(path / SIGNATURE, signature)
    return statement


def sequence_after(last: int) -> int:
    """Return a number higher than `last`: the time in UTC, so two machines need not know of one another."""
    return max(last + 1, int(datetime.now(UTC).strftime(_COUNTER)))


def still_signed(path: Path, bundle: Digest) -> tuple[str, ...]:
    """Return the names of the statement and its signature, if they are about this bundle.json."""
    try:
        said = Statement.model_validate_json((path / STATEMENT).read_bytes())
    except (OSError, ValueError):
        return ()
    return (STATEMENT, SIGNATURE) if said.bundle == bundle else ()


def signature_of(text: bytes, key: Path, namespace: str) -> bytes:
    """Return the signature of a text by a key; ssh-keygen asks for its passphrase, or its agent signs.

    Raises:
        BadInput: it cannot sign.
    """
    if not key.is_file():
        raise BadInput(Finding(str(key), "there is no key file", "make one: aiplat bundle trust init"))
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "text")
        said.write_bytes(text)
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(said)]
        run_ssh_keygen(argv, key)
        return Path(folder, "text.sig").read_bytes()


def run_ssh_keygen(argv: list[str], where: Path) -> str:
    """Run ssh-keygen and return what it prints; a passphrase is asked for on the terminal.

    Raises:
        BadInput: there is no ssh-keygen, or it refuses.
    """
    try:
        done = subprocess.run(argv, capture_output=True, check=False, text=True, errors="replace")
    except OSError:
        raise BadInput(Finding("ssh-keygen", "is not on this machine", "install OpenSSH's client")) from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise BadInput(Finding(str(where), f"ssh-keygen refuses it: {said}", "see the key and its agent"))
    return done.stdout
