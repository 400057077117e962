"""Judges a signed bundle with ssh-keygen, here and, as this text stands, on hosts (Python 3.9+)."""

from __future__ import annotations

import calendar
import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

STATEMENT = "bundle.signed.json"
SIGNATURE = "bundle.signed.json.sig"
NAMESPACE = "aiplat-bundle"
# Another namespace, so that a signed statement is never taken for a signed list.
SIGNERS_NAMESPACE = "aiplat-signers"
# What a host's clock may be off: it matters for a machine that has no network to ask.
TOLERANCE_SECONDS = 24 * 3600
_MOST_BYTES = 64 << 10
_END = b"-----END SSH SIGNATURE-----"
_SIGN_AGAIN = "sign it again: aiplat bundle sign"


class Signed(NamedTuple):
    """All that a host is shown: the statement, bundle.json, and the list of those who may sign."""

    statement: bytes
    signature: bytes
    document: bytes
    signers: bytes
    signers_signature: bytes


class UntrustedError(ValueError):
    """A bundle is not to be used; the text begins with the name of what is wrong."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.fix = fix


def judge(signed: Signed, site: str | None, seen: int) -> tuple[dict[str, Any], str]:
    """Return what a bundle's statement says, and who signed it.

    Without a `site` it may be for any; `seen` is the highest sequence that was accepted before.

    Raises:
        UntrustedError: it is unsigned, cut, altered, by a foreign signer, swapped, of another site, rolled
            back or expired.
    """
    signer = signer_of(signed.statement, signed.signature, signed.signers, NAMESPACE)
    said = _said(signed.statement)
    _refuse_content(said, signed.document)
    if site is not None and said["site"] != site:
        raise UntrustedError(
            f"another site: it was signed for {said['site']!r}, not for {site!r}", _SIGN_AGAIN
        )
    if said["sequence"] < seen:
        problem = f"rolled back: its sequence {said['sequence']} is lower than {seen}, which was accepted"
        raise UntrustedError(problem, f"use the newer bundle, or {_SIGN_AGAIN}")
    if _seconds(said["expires"]) + TOLERANCE_SECONDS < time.time():
        problem = f"expired: it was valid until {said['expires']}"
        raise UntrustedError(problem, f"{_SIGN_AGAIN}, or see this machine's clock")
    return said, signer


def signer_of(text: bytes, signature: bytes, signers: bytes, namespace: str) -> str:
    """Return the name under which the list of signers has whoever signed a text.

    Raises:
        UntrustedError: nobody did, or nobody who may now, or the text is not the one that was signed.
    """
    if not text or not signature:
        raise UntrustedError("unsigned: there is no signed statement", "sign it: aiplat bundle sign")
    if len(text) > _MOST_BYTES or len(signature) > _MOST_BYTES:
        raise UntrustedError("altered: its signed statement is larger than any", _SIGN_AGAIN)
    if not signature.rstrip().endswith(_END) or not text.endswith(b"\n"):
        raise UntrustedError("cut: its signed statement or signature is not complete", _SIGN_AGAIN)
    with tempfile.TemporaryDirectory() as folder:
        made, allowed = Path(folder, "signature"), Path(folder, "signers")
        made.write_bytes(signature)
        allowed.write_bytes(signers)
        by = _ssh_keygen(text, "check-novalidate", "-n", namespace, "-s", str(made))
        if by is None:
            raise UntrustedError("altered: the signature does not fit its signed statement", _SIGN_AGAIN)
        found = _ssh_keygen(b"", "find-principals", "-s", str(made), "-f", str(allowed))
        for principal in (found or "").replace(",", "\n").splitlines():
            asked = ("-n", namespace, "-I", principal, "-s", str(made), "-f", str(allowed))
            if _ssh_keygen(text, "verify", *asked) is not None:
                return principal
    key = by.rpartition(" ")[2].strip()
    problem = f"foreign signer: nobody who may sign now has the key {key}"
    raise UntrustedError(
        problem, "see where it comes from; a signer's time may be over (`aiplat bundle trust show`)"
    )


def list_sequence(signers: bytes) -> int:
    """Return the number in a list of signers' line `# sequence …`, 0 where it has none."""
    found = re.search(rb"^# sequence (\d{1,20})$", signers, re.MULTILINE)
    return int(found[1]) if found else 0


def new_signers(known: bytes, offered: bytes, signature: bytes) -> bool:
    """Whether a list of signers replaces the one that is known; the first one is taken as it comes.

    Raises:
        UntrustedError: nobody on the known list signed it, or it is not newer than the known one.
    """
    if not known or known == offered:
        return known != offered
    try:
        signer_of(offered, signature, known, SIGNERS_NAMESPACE)
    except UntrustedError as error:
        problem = f"foreign signer: the list of signers is another one, and nobody known signed it ({error})"
        fix = "sign the list: aiplat bundle trust rotate; or reset the host, which forgets its list"
        raise UntrustedError(problem, fix) from None
    seen, said = list_sequence(known), list_sequence(offered)
    if seen and said <= seen:
        problem = f"rolled back: the list of signers has sequence {said}, and one with {seen} was accepted"
        fix = "bring the newer list; one that you wrote by hand needs a higher number in `# sequence`"
        raise UntrustedError(problem, fix)
    return True


def refuse_foreign(document: bytes, blobs: dict[str, int]) -> None:
    """Refuse blobs (hex digest → size) that a signed bundle.json does not list.

    Raises:
        UntrustedError: naming the first one.
    """
    files = json.loads(document)["files"]
    for name, size in blobs.items():
        if files.get(f"blobs/sha256/{name}") != {"sha256": f"sha256:{name}", "size": size}:
            problem = f"altered: the signed bundle.json does not list blob {name[:12]} with {size} bytes"
            raise UntrustedError(problem, "run `aiplat bundle verify`")


def _refuse_content(said: dict[str, Any], document: bytes) -> None:
    if "sha256:" + hashlib.sha256(document).hexdigest() == said["bundle"]:
        return
    if not document.endswith(b"}\n"):
        raise UntrustedError("cut: bundle.json is not complete", "bring the bundle again")
    problem = "swapped: the signed statement is another bundle's, or bundle.json was altered"
    raise UntrustedError(problem, f"bring the bundle again; if you made it again, {_SIGN_AGAIN}")


def _said(statement: bytes) -> dict[str, Any]:
    """Return a statement whose signature was verified.

    Raises:
        UntrustedError: it is of a form that this version does not know.
    """
    wanted = {"site": str, "bundle": str, "index": str, "sequence": int, "created": str, "expires": str}
    try:
        said = json.loads(statement)
        if any(type(said[name]) is not kind for name, kind in wanted.items()):
            raise TypeError
        _seconds(said["expires"])
    except (ValueError, LookupError, TypeError, RecursionError):
        problem = "altered: its signed statement is not of a form that is known here"
        raise UntrustedError(problem, "use the aiplat that signed it, or a newer one") from None
    return dict(said)


def _seconds(text: str) -> float:
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))


def _ssh_keygen(text: bytes, *arguments: str) -> str | None:
    """Return what `ssh-keygen -Y` prints, or None where it says no.

    Raises:
        UntrustedError: there is none on this machine.
    """
    # Times in the list of signers are UTC, whatever this machine's time zone.
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["ssh-keygen", "-Y", *arguments],
            input=text,
            capture_output=True,
            check=False,
            env=environment,
        )
    except OSError:
        raise UntrustedError(
            "cannot be verified: there is no ssh-keygen", "install OpenSSH's client"
        ) from None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
