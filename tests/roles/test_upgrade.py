"""An upgrade of k3s keeps what runs before it, and leaves no folder behind that nobody uses."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.plan.steps import managed
from aiplat.shipped import shipped
from tests.roles.conftest import RunModule, load_module

KEPT, FOLDERS = "k3s_server/library/k3s_kept.py", "aiplat_modules/library/k3s_folders.py"
_MANAGED = managed("k3s_server")
SERVER = {
    "unit": _MANAGED["unit"],
    "program": _MANAGED["files"]["program"],
    "files": [_MANAGED["files"][name] for name in ("config", "registries", "unit")],
}
OLD, NEW, BEFORE = "a" * 64, "b" * 64, "c" * 64


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A server whose k3s says its version and has a datastore that is being written."""
    write(tmp_path / "usr/local/bin/k3s", "#!/bin/sh\necho 'k3s version v1.35.7+k3s1 (abc)'\n", 0o755)
    write(tmp_path / "etc/rancher/k3s/config.yaml", "token: secret\n")
    write(tmp_path / "var/lib/rancher/k3s/server/token", "K10…::server:secret\n")
    (tmp_path / "var/lib/rancher/k3s/server/db").mkdir()
    return tmp_path


@pytest.fixture
def datastore(server: Path) -> sqlite3.Connection:
    """The datastore as k3s has it open: a row that is only in the log beside it yet."""
    open_one = sqlite3.connect(server / "var/lib/rancher/k3s/server/db/state.db")
    open_one.execute("PRAGMA journal_mode=WAL")
    open_one.execute("CREATE TABLE kine (name TEXT)")
    open_one.execute("INSERT INTO kine VALUES ('/registry/nodes/s1')")
    open_one.commit()
    return open_one


def test_what_runs_is_kept_before_another_comes(
    server: Path, datastore: sqlite3.Connection, run_module: RunModule
) -> None:
    """Program, token, configuration and a whole datastore, for root alone; the words say how to go back."""
    result = run_module(KEPT, binary=f"sha256:{NEW}", root=str(server), **SERVER)
    assert result["changed"] is True
    kept = server / "var/lib/aiplat/k3s-before/v1.35.7+k3s1"
    assert {path.name for path in kept.iterdir()} == {"k3s", "config.yaml", "token", "state.db"}
    assert {path.stat().st_mode & 0o077 for path in (kept, *kept.iterdir())} == {0}
    with sqlite3.connect(kept / "state.db") as copy:
        assert copy.execute("SELECT name FROM kine").fetchall() == [("/registry/nodes/s1",)]
    assert "to go back: systemctl stop k3s" in result["notes"][0]
    datastore.close()


def test_nothing_is_kept_where_nothing_is_replaced(
    server: Path, datastore: sqlite3.Connection, run_module: RunModule
) -> None:
    """The wanted k3s is there already, or k3s never ran."""
    datastore.close()
    digest = hashlib.sha256((server / "usr/local/bin/k3s").read_bytes()).hexdigest()
    assert run_module(KEPT, binary=f"sha256:{digest}", root=str(server), **SERVER)["changed"] is False
    (server / "var/lib/rancher/k3s/server/db/state.db").unlink()
    assert run_module(KEPT, binary=f"sha256:{NEW}", root=str(server), **SERVER)["changed"] is False
    assert not (server / "var/lib/aiplat").exists()


def test_a_datastore_that_is_damaged_stops_the_upgrade(server: Path, run_module: RunModule) -> None:
    """Better no upgrade than one without a way back; nothing half is left."""
    (server / "var/lib/rancher/k3s/server/db/state.db").write_bytes(b"no database at all, " * 400)
    result = run_module(KEPT, binary=f"sha256:{NEW}", root=str(server), **SERVER)
    assert result["failed"] is True
    assert "cannot be copied" in result["msg"]
    assert not (server / "var/lib/aiplat/k3s-before/v1.35.7+k3s1").exists()


def test_only_the_last_ones_are_kept(
    server: Path, datastore: sqlite3.Connection, run_module: RunModule
) -> None:
    """A host's disk does not fill with every k3s it ever had."""
    datastore.close()
    for number in range(3):
        text = f"#!/bin/sh\necho 'k3s version v1.3{number}.0+k3s1 (abc)'\n"
        write(server / "usr/local/bin/k3s", text, 0o755)
        run_module(KEPT, binary=f"sha256:{NEW}", root=str(server), **SERVER)
    names = {path.name for path in (server / "var/lib/aiplat/k3s-before").iterdir()}
    assert names == {"v1.31.0+k3s1", "v1.32.0+k3s1"}


def test_the_old_k3s_is_kept_before_the_new_one_is_put_there() -> None:
    """In the role, and before its configuration is written."""
    tasks: list[dict[str, Any]] = YAML(typ="safe").load(shipped("roles/k3s_server/tasks/main.yml"))
    kinds = [name for task in tasks for name in task]
    assert kinds.index("k3s_kept") < kinds.index("host_files") < kinds.index("systemd_unit")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A host with data folders of three k3s; a pod's shim of the oldest may run."""
    data = tmp_path / "var/lib/rancher/k3s/data"
    for name in (OLD, BEFORE, NEW):
        write(data / name / "bin/containerd-shim-runc-v2", "shim")
    (data / "cni").mkdir()
    (data / "current").symlink_to(data / NEW)
    (data / "previous").symlink_to(data / BEFORE)
    (tmp_path / "proc/17").mkdir(parents=True)
    (tmp_path / "proc/17/exe").symlink_to("/usr/bin/python3")
    return tmp_path


def left(root: Path) -> set[str]:
    """Return the data folders that are there."""
    found = (root / "var/lib/rancher/k3s/data").iterdir()
    return {path.name for path in found if not path.is_symlink()}


def test_a_data_folder_nobody_uses_goes(folders: Path, run_module: RunModule) -> None:
    """The current one, the one before and what is not a folder of a k3s stay."""
    assert run_module(FOLDERS, root=str(folders))["changed"] is True
    assert left(folders) == {BEFORE, NEW, "cni"}
    assert run_module(FOLDERS, root=str(folders))["changed"] is False


def test_a_data_folder_stays_while_a_pods_shim_runs_from_it(folders: Path, run_module: RunModule) -> None:
    """Pods live through an upgrade of k3s, and so does the program that holds them."""
    shim = folders / "var/lib/rancher/k3s/data" / OLD / "bin/containerd-shim-runc-v2"
    (folders / "proc/18").mkdir()
    (folders / "proc/18/exe").symlink_to(shim)
    assert run_module(FOLDERS, root=str(folders))["changed"] is False
    assert OLD in left(folders)


def test_nothing_goes_while_no_folder_is_the_current_one(folders: Path) -> None:
    """A k3s that never started says nothing of what is in use."""
    (folders / "var/lib/rancher/k3s/data/current").unlink()
    assert load_module(FOLDERS).unused(str(folders), "/var/lib/rancher/k3s/data") == []
