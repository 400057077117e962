"""Checks who signed a repository's index, with gpgv; what an index says is read elsewhere."""

from __future__ import annotations

import base64
import binascii
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aiplat.catalog.os_recipes import Repository
from aiplat.errors import AiplatError, Finding
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.sentences import plain

KEYRINGS = Path("/usr/share/keyrings")
UNSIGNED = "nothing but TLS: the repository's index is not signed"
_KEYRING_PACKAGES = {
    "debian-archive-keyring.gpg": "debian-archive-keyring",
    "ubuntu-archive-keyring.gpg": "ubuntu-keyring",
}
_ALTERED = "it was altered on its way, or the mirror is broken: try another one"


@dataclass(frozen=True)
class Keyring:
    """The keys that may sign an index: a file gpgv reads, and where it came from in words."""

    path: Path
    title: str


def keyring_of(repository: Repository, http: HttpClient, folder: Path) -> Keyring | None:
    """Return who may sign a repository's index; None where its recipe says that it is not signed.

    Raises:
        AiplatError: the keys are not on this machine and have no address, or cannot be fetched.
    """
    if repository.keyring and (KEYRINGS / repository.keyring).is_file():
        return Keyring(KEYRINGS / repository.keyring, repository.keyring)
    if repository.key:
        path = folder / "key.gpg"
        path.write_bytes(dearmoured(http.get(repository.key).body, repository.key))
        return Keyring(path, f"the key from {plain(repository.key)}")
    if repository.keyring:
        package = _KEYRING_PACKAGES.get(repository.keyring, repository.keyring)
        problem = f"the keys {repository.keyring} are not on this machine, so nothing can be checked"
        raise AiplatError(Finding(str(repository.apt or repository.rpm), problem, f"install {package}"))
    return None


def dearmoured(data: bytes, where: str) -> bytes:
    """Return keys in the binary form that gpgv reads.

    Raises:
        AiplatError: it is not a key.
    """
    if not data.lstrip().startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        if data[:1] and data[0] & 0x80:
            return data
        raise AiplatError(Finding(plain(where), "is not an OpenPGP key", "see whether the address is right"))
    keys = b""
    for block in data.split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        body = block.partition(b"-----END")[0].replace(b"\r", b"").partition(b"\n\n")[2]
        lines = [line for line in body.split() if not line.startswith(b"=")]
        try:
            keys += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error:
            raise AiplatError(Finding(plain(where), "is a damaged OpenPGP key", _ALTERED)) from None
    return keys


def signed_text(file: Path, keyring: Keyring, where: str) -> tuple[bytes, str]:
    """Return what a clear-signed file says and the fingerprint of who signed it.

    Raises:
        AiplatError: it is not signed, by somebody else, or not as it was signed.
    """
    out = file.with_suffix(".text")
    status = _gpgv(keyring, "--output", str(out), str(file))
    fingerprint = _judged(status, keyring, where)
    return out.read_bytes(), fingerprint


def signer(file: Path, signature: Path, keyring: Keyring, where: str) -> str:
    """Return the fingerprint of who signed a file with a detached signature.

    Raises:
        AiplatError: as for `signed_text`.
    """
    binary = signature
    data = signature.read_bytes()
    if data.lstrip().startswith(b"-----BEGIN PGP SIGNATURE"):
        binary = signature.with_suffix(".sig")
        binary.write_bytes(_dearmoured_signature(data, where))
    return _judged(_gpgv(keyring, str(binary), str(file)), keyring, where)


def _dearmoured_signature(data: bytes, where: str) -> bytes:
    body = data.replace(b"\r", b"").partition(b"\n\n")[2].partition(b"-----END")[0]
    try:
        return base64.b64decode(b"".join(ln for ln in body.split() if not ln.startswith(b"=")), validate=True)
    except binascii.Error:
        raise AiplatError(Finding(where, "its signature is damaged", _ALTERED)) from None


def _gpgv(keyring: Keyring, *arguments: str) -> list[list[str]]:
    program = shutil.which("gpgv")
    if program is None:
        raise AiplatError(Finding("gpgv", "is not on this machine", "install gpgv: it checks signatures"))
    done = subprocess.run(
        [program, "--status-fd", "1", "--keyring", str(keyring.path), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = (line.split()[1:] for line in done.stdout.splitlines() if line.startswith("[GNUPG:]"))
    return [line for line in lines if line]


def _judged(status: list[list[str]], keyring: Keyring, where: str) -> str:
    """Return the fingerprint of a good signature; several may have signed, one whom we know is enough."""
    said = {line[0]: line[1:] for line in status}
    if "BADSIG" in said:
        raise AiplatError(Finding(where, "is not what was signed", _ALTERED))
    if "VALIDSIG" in said:
        return said["VALIDSIG"][-1]
    if "EXPKEYSIG" in said or "REVKEYSIG" in said:
        key = (said.get("EXPKEYSIG") or said["REVKEYSIG"])[0]
        problem = f"is signed with key {key}, which is no longer valid"
        raise AiplatError(Finding(where, problem, f"renew {keyring.title}, or ask whoever keeps the mirror"))
    if "NO_PUBKEY" in said:
        problem = f"is signed with key {said['NO_PUBKEY'][0]}, which is not in {keyring.title}"
        raise AiplatError(Finding(where, problem, "use a mirror of the original, or renew the keys"))
    raise AiplatError(Finding(where, "is not signed", "use a mirror that keeps the signatures"))
