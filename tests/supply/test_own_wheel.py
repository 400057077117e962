"""aiplat's own wheel, from a checkout and from an installation."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from aiplat.content import sha256_file
from aiplat.supply.own_wheel import make_own_wheel

PROGRAM = """
import pathlib, sys
from aiplat.supply.own_wheel import make_own_wheel
print(make_own_wheel(pathlib.Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as this checkout gives it."""
    return make_own_wheel(tmp_path_factory.mktemp("wheel"))


def members(wheel: Path) -> dict[str, bytes]:
    """What is in a wheel, but for the list of it."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith("RECORD")}


def modes(wheel: Path) -> dict[str, int]:
    """With which mode each file is in a wheel."""
    with zipfile.ZipFile(wheel) as opened:
        return {one.filename: one.external_attr >> 16 & 0o777 for one in opened.infolist()}


def test_the_same_checkout_gives_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """Nothing in it depends on when or where it is built."""
    assert sha256_file(make_own_wheel(tmp_path)) == sha256_file(built)


def test_an_installed_aiplat_makes_its_own_wheel_again(built: Path, tmp_path: Path) -> None:
    """From a wheel's installation the very same files come out with their modes, shipped ones among them."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path / "lib", built], check=True, capture_output=True, umask=0o077)
    (tmp_path / "out").mkdir()
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "out"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "lib"), "PATH": ""},
    ).stdout.strip()
    assert Path(made).name == built.name
    assert members(Path(made)) == members(built)
    assert modes(Path(made)) == modes(built)
    assert "aiplat/_shipped/playbooks/bootstrap.yml" in members(built)
