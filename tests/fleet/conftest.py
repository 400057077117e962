"""A site whose hosts are this machine: an `ssh` on PATH that runs the remote command here instead."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from aiplat.site.models import Site

# The last argument is the remote command; everything before it are options and the address.
FAKE_SSH = """#!/bin/sh
for last; do :; done
if [ "$1" = -G ]; then echo "user root"; exit 0; fi
exec sh -c "exec $last"
"""
FAKE_SUDO = """#!/bin/sh
shift 2
exec "$@"
"""


@pytest.fixture
def site() -> Site:
    """Return a site of one server and one agent."""
    return Site.model_validate(
        {
            "apiVersion": "aiplat.dev/v1alpha1",
            "kind": "Site",
            "name": "ward-3",
            "hosts": [
                {"name": "s1", "address": "192.0.2.11", "role": "server"},
                {
                    "name": "a1",
                    "address": "192.0.2.12",
                    "role": "agent",
                    "ssh": {"user": "ops", "port": 2222},
                },
            ],
        }
    )


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty state folder; nothing of the user's is touched."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return tmp_path / "state" / "aiplat" / "sites" / "ward-3"


@pytest.fixture
def host_here(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make every host of the site this machine; return the folder that is its /var/lib/aiplat."""
    programs, store = tmp_path / "bin", tmp_path / "host"
    programs.mkdir()
    for name, text in (("ssh", FAKE_SSH), ("sudo", FAKE_SUDO)):
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AIPLAT_BLOBS", str(store / "blobs"))
    monkeypatch.setenv("AIPLAT_TRUST", str(store / "trust"))
    monkeypatch.setenv("AIPLAT_LOCK", str(store / "lock"))
    monkeypatch.setenv("AIPLAT_SCRATCH", str(tmp_path / "scratch"))
    return store
