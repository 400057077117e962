"""Where state and caches are on the operator's machine; what is in the files belongs to their rooms."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from aiplat.errors import AiplatError, Finding

_NOT_OURS = "remove it, or set XDG_RUNTIME_DIR or AIPLAT_STATE to a folder of your own"


def home() -> Path:
    """Return the user's home folder.

    Raises:
        AiplatError: the user has none, as in containers that run with a number alone.
    """
    try:
        return Path.home()
    except RuntimeError:
        fix = "set HOME to a folder of your own"
        raise AiplatError(Finding("HOME", "is not set, and this user has no home folder", fix)) from None


def expanded(path: Path) -> Path:
    """Return a path with `~` resolved; one that begins with a user who does not exist stays as it is."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def state_home() -> Path:
    """Return `$AIPLAT_STATE/aiplat` or the XDG state folder's `aiplat`."""
    base = os.environ.get("AIPLAT_STATE") or os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else home() / ".local" / "state") / "aiplat"


def cache_home() -> Path:
    """Return the XDG cache folder's `aiplat`; everything below may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home() / ".cache") / "aiplat"


def private_dir(path: Path, *, own: bool = False) -> Path:
    """Make `path` (0700, parents too) and return it; with `own` it must be this user's, and no link.

    Raises:
        AiplatError: it is a file, another user's link, or another user's where it must be one's own.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    # Looked at and changed is what was opened, whatever stands under its name by then.
    handle = _opened(path, follow=not own)
    try:
        found = os.fstat(handle)
        if own and found.st_uid != os.geteuid():
            raise AiplatError(Finding(str(path), "belongs to another user", _NOT_OURS))
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(handle, 0o700)
    finally:
        os.close(handle)
    return path


def _opened(path: Path, *, follow: bool) -> int:
    link = path.lstat()
    if stat.S_ISLNK(link.st_mode) and (not follow or link.st_uid not in (0, os.geteuid())):
        raise AiplatError(Finding(str(path), "is a link, and may lead anywhere", _NOT_OURS))
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except OSError as error:
        raise AiplatError(
            Finding(str(path), f"is not a folder to work in: {error.strerror}", _NOT_OURS)
        ) from None


def site_dir(name: str) -> Path:
    """Return the site's folder: lock.yaml, vault.yml, ca.crt, kubeconfig, known_hosts, ssh_key, runs/."""
    return private_dir(state_home() / "sites" / name)


def programs_dir(site: str) -> Path:
    """Return the folder of Helm and kubectl of a site whose cluster is spoken to from this machine."""
    return site_dir(site) / "programs"


def ledger_file(site: str) -> Path:
    """Return where it is recorded what of a site is in a cluster that aiplat did not make."""
    return site_dir(site) / "ledger.json"


def address_file(site: str) -> Path:
    """Return where the address is kept that a load balancer gave a site's gateway."""
    return site_dir(site) / "gateway-address"


def bundle_dir(site: str) -> Path:
    """Return the folder of the bundle that was built for a site (an OCI image layout)."""
    return state_home() / "bundles" / site


def lab_dir(name: str) -> Path:
    """Return the folder of a lab's hosts and their bookkeeping; absent when no such lab is up."""
    return state_home() / "labs" / name
