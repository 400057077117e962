"""The module host_files: content and blobs become files at once, and only when they differ."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.roles.conftest import RunModule

MODULE = "aiplat_modules/library/host_files.py"


def stage(root: Path, content: bytes, name: str = "") -> str:
    """Put a blob where the receiver would have put it and return its digest."""
    name = name or hashlib.sha256(content).hexdigest()
    path = root / "var/lib/aiplat/blobs/sha256" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"sha256:{name}"


def test_files_folders_and_links_are_made_once(tmp_path: Path, run_module: RunModule) -> None:
    """The first run changes everything, the second nothing."""
    wanted = {
        "root": str(tmp_path),
        "dirs": [{"path": "/etc/aiplat", "mode": "0750"}],
        "files": [
            {"path": "/etc/aiplat/a", "content": "text", "mode": "0600"},
            {"path": "/usr/bin/tool", "blob": stage(tmp_path, b"\x7fELF"), "mode": "0755"},
        ],
        "links": {"/usr/bin/alias": "tool"},
    }
    first = run_module(MODULE, **wanted)
    assert first["paths"] == ["/etc/aiplat", "/etc/aiplat/a", "/usr/bin/tool", "/usr/bin/alias"]
    assert run_module(MODULE, **wanted)["changed"] is False
    assert (tmp_path / "etc/aiplat").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "etc/aiplat/a").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "usr/bin/alias").read_bytes() == b"\x7fELF"


def test_another_mode_is_put_right(tmp_path: Path, run_module: RunModule) -> None:
    """A file that somebody opened up is closed again."""
    wanted = {"root": str(tmp_path), "files": [{"path": "/a", "content": "x", "mode": "0600"}]}
    run_module(MODULE, **wanted)
    (tmp_path / "a").chmod(0o644)
    assert run_module(MODULE, **wanted)["paths"] == ["/a"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_damaged_blob_does_not_replace_the_file(tmp_path: Path, run_module: RunModule) -> None:
    """The old program stays where the new one is not what its digest says."""
    (tmp_path / "tool").write_text("old")
    blob = stage(tmp_path, b"flipped", name="0" * 64)
    result = run_module(MODULE, root=str(tmp_path), files=[{"path": "/tool", "blob": blob}])
    assert result["failed"]
    assert "another digest" in result["msg"]
    assert (tmp_path / "tool").read_text() == "old"


def test_a_blob_that_is_not_staged_is_a_sentence(tmp_path: Path, run_module: RunModule) -> None:
    """What is missing and what to do is said."""
    result = run_module(MODULE, root=str(tmp_path), files=[{"path": "/tool", "blob": "sha256:" + "1" * 64}])
    assert "is not staged on this host; run `aiplat bootstrap` again" in result["msg"]


def test_a_program_that_is_not_a_link_is_not_replaced(tmp_path: Path, run_module: RunModule) -> None:
    """Somebody's own kubectl is left alone and named."""
    (tmp_path / "kubectl").write_text("mine")
    result = run_module(MODULE, root=str(tmp_path), links={"/kubectl": "k3s"})
    assert "did not put there" in result["msg"]
    assert (tmp_path / "kubectl").read_text() == "mine"


def test_check_mode_changes_nothing(tmp_path: Path, run_module: RunModule) -> None:
    """It says what it would do."""
    files = [{"path": "/a", "content": "x"}]
    result = run_module(MODULE, root=str(tmp_path), files=files, _ansible_check_mode=True)
    assert result["changed"]
    assert not (tmp_path / "a").exists()
