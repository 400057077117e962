"""Keys of a lab: one pair to log in with, one host key per host; who logs in is not decided here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from aiplat.content import write_atomic
from aiplat.state import private_dir


@dataclass(frozen=True)
class SshKeyPair:
    """An Ed25519 pair in OpenSSH's formats; `public` is one line without a comment."""

    private: bytes
    public: str


def new_key_pair() -> SshKeyPair:
    """Make a pair without a passphrase: its file's mode 0600 is what protects it."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return SshKeyPair(private, public.decode())


def kept_key_pair(path: Path) -> SshKeyPair:
    """Return the pair in `path` (0600) and `path`.pub, made there if either is missing."""
    public = path.with_name(path.name + ".pub")
    if not (path.exists() and public.exists()):
        pair = new_key_pair()
        write_atomic(path, pair.private, 0o600)
        write_atomic(public, f"{pair.public}\n".encode())
    return SshKeyPair(path.read_bytes(), public.read_text().strip())


def known_hosts(host_keys: dict[str, str]) -> bytes:
    """Return a known_hosts file for `host_keys`: address (or `name,address`) → public key."""
    return "".join(f"{address} {key}\n" for address, key in sorted(host_keys.items())).encode()


def publish(site_folder: Path, login: SshKeyPair, hosts: bytes) -> None:
    """Put the login key (`ssh_key`, 0600) and `known_hosts` where the other rooms look for them."""
    private_dir(site_folder)
    for name, content in (("ssh_key", login.private), ("known_hosts", hosts)):
        path = site_folder / name
        if not path.exists() or path.read_bytes() != content:
            write_atomic(path, content, 0o600)


def published(site_folder: Path) -> tuple[Path, ...]:
    """Return what `publish` wrote there, also what a kill in the middle left."""
    patterns = ("ssh_key", "known_hosts", ".ssh_key.*", ".known_hosts.*")
    return tuple(path for pattern in patterns for path in sorted(site_folder.glob(pattern)))


def withdraw(site_folder: Path) -> tuple[Path, ...]:
    """Remove what `publish` wrote, and the folder if nothing else is in it; return what was there."""
    removed = []
    for path in published(site_folder):
        path.unlink()
        removed.append(path)
    if site_folder.is_dir() and not any(site_folder.iterdir()):
        site_folder.rmdir()
    return tuple(removed)
