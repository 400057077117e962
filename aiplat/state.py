"""Where state and caches are on the operator's machine; what is in the files belongs to their rooms."""

from __future__ import annotations

import os
from pathlib import Path


def state_home() -> Path:
    """Return `$AIPLAT_STATE/aiplat` or the XDG state folder's `aiplat`."""
    base = os.environ.get("AIPLAT_STATE") or os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "aiplat"


def cache_home() -> Path:
    """Return the XDG cache folder's `aiplat`; everything below may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aiplat"


def private_dir(path: Path) -> Path:
    """Make `path` (0700, parents too) and return it."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def site_dir(name: str) -> Path:
    """Return the site's folder: lock.yaml, vault.yml, ca.crt, kubeconfig, known_hosts, ssh_key, runs/."""
    return private_dir(state_home() / "sites" / name)


def bundle_dir(site: str) -> Path:
    """Return the folder of the bundle that was built for a site (an OCI image layout)."""
    return state_home() / "bundles" / site


def lab_dir(name: str) -> Path:
    """Return the folder of a lab's hosts and their bookkeeping; absent when no such lab is up."""
    return state_home() / "labs" / name
