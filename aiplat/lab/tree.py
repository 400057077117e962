"""One host's disk: a copy of the base root with the host's own identity; booting it is machine's business."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from aiplat.lab.keys import SshKeyPair, kept_key_pair
from aiplat.lab.names import LabNetwork
from aiplat.lab.tools import DIES_WITH_CALLER, run

_HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True)
class Identity:
    """What makes a copy of the base root this host."""

    lab: str
    host: str
    addresses: tuple[str, str]
    """Of IPv4, and of IPv6 or nothing."""
    network: LabNetwork
    login: SshKeyPair


def make_tree(base: Path, tree: Path, identity: Identity) -> bool:
    """Make the host's tree from `base` unless it is there; return whether it was made.

    The tree appears under its name only when it is whole.
    """
    if tree.is_dir():
        return False
    unfinished = tree.with_name(f".making-{tree.name}")
    copy_tree(base, unfinished)
    seed(unfinished, identity)
    unfinished.rename(tree)
    return True


def copy_tree(source: Path, target: Path) -> None:
    """Copy a stopped host's whole disk to `target`, replacing what an interrupted copy left there."""
    remove_tree(target)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    run(*DIES_WITH_CALLER, "cp", "-a", "--reflink=auto", "--no-target-directory", str(source), str(target))


def replace_tree(source: Path, target: Path) -> None:
    """Put a copy of `source` in the place of `target`, which stays whole until the copy is."""
    unfinished, old = target.with_name(f".making-{target.name}"), target.with_name(f".old-{target.name}")
    copy_tree(source, unfinished)
    remove_tree(old)
    if target.exists():
        target.rename(old)
    unfinished.rename(target)
    remove_tree(old)


def remove_tree(tree: Path) -> None:
    """Remove a tree; never follows a mount into something else."""
    run(*DIES_WITH_CALLER, "rm", "-rf", "--one-file-system", str(tree))


def host_public_key(tree: Path) -> str:
    """Return the public key that the host of `tree` proves itself with."""
    return (tree / f"{_HOST_KEY}.pub").read_text().strip()


def seed(root: Path, identity: Identity) -> None:
    """Write into a root what makes it this host."""
    _write(root, "etc/hostname", f"{identity.host}\n")
    _write(
        root, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {identity.host}\n::1 localhost ip6-localhost\n"
    )
    _write(root, "etc/resolv.conf", f"nameserver {identity.network.gateway}\n")
    # A written id keeps systemd from treating the boot as a first one, and kubelets from sharing theirs.
    _write(root, "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    _write(root, "etc/systemd/network/10-host0.network", _network_file(identity))
    _write(root, "etc/aiplat/lab-host", f"{identity.lab}\n")
    _write(root, "root/.ssh/authorized_keys", f"{identity.login.public}\n", 0o600)
    (root / "root/.ssh").chmod(0o700)
    kept_key_pair(root / _HOST_KEY)


def _network_file(identity: Identity) -> str:
    network, (address, address6) = identity.network, identity.addresses
    second = f"Address={address6}/64\nGateway={network.subnet6[1]}\n" if network.subnet6 and address6 else ""
    return (
        "[Match]\nName=host0\n\n[Network]\n"
        f"Address={address}/{network.subnet.prefixlen}\nGateway={network.gateway}\n{second}"
        "DHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\n"
    )


def _write(root: Path, relative: str, text: str, mode: int = 0o644) -> None:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, 0, 0)


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the file system of `folder`, or of its nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
