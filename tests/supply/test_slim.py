"""What of Python packages does not go into an image, and what stands in for libraries of GPUs."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.catalog.recipes import Slim
from aiplat.errors import AiplatError
from aiplat.supply.slim import slim_down
from tests.patience import PATIENCE

PROGRAM = """
extern int fastAdd(int, int); extern int fastMul(int, int);
int plain(void) { return 7; }
int fast(void) { return fastAdd(1, 2) + fastMul(3, 4); }
"""


def linked(folder: Path) -> Path:
    """Return a folder with a library that links one of a GPU's, which is not there."""
    lib = folder / "thing" / "lib"
    lib.mkdir(parents=True)
    (lib / "fast.c").write_text(
        "int fastAdd(int a, int b) { return a + b; } int fastMul(int a, int b) { return a; }"
    )
    (lib / "fast.map").write_text("libfast.so.1 { global: fastAdd; };")
    (lib / "plain.c").write_text(PROGRAM)
    gcc = ["gcc", "-shared", "-fPIC"]
    made = ["-Wl,-soname,libfast.so.1", f"-Wl,--version-script={lib / 'fast.map'}"]
    subprocess.run([*gcc, *made, "-o", lib / "libfast.so.1", lib / "fast.c"], check=True)
    needs = ["-Wl,-rpath,$ORIGIN", "-Wl,-z,now"]
    subprocess.run(
        [*gcc, *needs, "-o", lib / "libplain.so", lib / "plain.c", lib / "libfast.so.1"], check=True
    )
    (lib / "libfast.so.1").unlink()
    return folder


def test_a_library_loads_with_a_stand_in_for_what_it_never_calls(tmp_path: Path) -> None:
    """Also where all its symbols are bound at once, and some have versions."""
    packages = linked(tmp_path / "packages")
    slim = Slim(stand_ins={"libfast.so.1": "fast"}, stand_ins_in="thing/lib", leave_out=("thing/**/*.c",))
    slim_down(packages, slim, tmp_path)
    assert not list(packages.rglob("*.c"))
    assert ctypes.CDLL(str(packages / "thing/lib/libplain.so")).plain() == 7


def test_who_calls_a_stand_in_is_ended(tmp_path: Path) -> None:
    """Rather than given an answer that nobody computed."""
    packages = linked(tmp_path / "packages")
    slim_down(packages, Slim(stand_ins={"libfast.so.1": "fast"}, stand_ins_in="thing/lib"), tmp_path)
    script = f"import ctypes; ctypes.CDLL({str(packages / 'thing/lib/libplain.so')!r}).fast()"
    done = subprocess.run([sys.executable, "-c", script], timeout=PATIENCE, check=False, capture_output=True)
    assert done.returncode < 0


@pytest.mark.parametrize(
    ("slim", "said"),
    [
        (Slim(leave_out=("gone/*.a",)), "gone/*.a names nothing"),
        (Slim(stand_ins={"libother.so.1": "other"}, stand_ins_in="thing/lib"), "nothing links libother.so.1"),
    ],
)
def test_a_recipe_that_has_aged_is_told(tmp_path: Path, slim: Slim, said: str) -> None:
    """What names nothing any more would hide what has taken its place."""
    with pytest.raises(AiplatError, match=said.replace("*", r"\*")):
        slim_down(linked(tmp_path / "packages"), slim, tmp_path)
