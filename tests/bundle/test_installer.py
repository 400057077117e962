"""The program in a bundle that installs aiplat's runtime, run as a stranger to aiplat runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from aiplat.bundle import installer
from aiplat.content import sha256_bytes, sha256_file
from aiplat.supply.oci import EMPTY, TITLE, add_bytes, add_file, add_manifest, blob_path
from aiplat.supply.own_wheel import packed_again
from aiplat.supply.runtime import PYTHONS, RUNTIME

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
METADATA = "Metadata-Version: 2.1\nName: aiplat\nVersion: 9\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
PROGRAM = "def main():\n    print('installed')\n"


def write_aiplat(folder: Path) -> Path:
    """Write a wheel of aiplat's name with a program that says one word."""
    path, info = folder / "aiplat-9-py3-none-any.whl", "aiplat-9.dist-info"
    files = {
        "aiplat.py": PROGRAM,
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": "[console_scripts]\naiplat = aiplat:main\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD")))
    return path


def write_bundle(folder: Path, pythons: str = HERE) -> Path:
    """Write a bundle with nothing but a runtime."""
    bundle, wheels = folder / "bundle", folder / "wheels"
    wheels.mkdir()
    own, _ = write_aiplat(wheels), packed_again("pip", wheels)
    (wheels / "requirements.txt").write_text(f"aiplat==9 --hash={sha256_file(own)}\n")
    layers = [
        add_file(bundle, path, RUNTIME) | {"annotations": {TITLE: path.name}}
        for path in sorted(wheels.iterdir())
    ]
    manifest = add_manifest(bundle, add_bytes(bundle, b"{}", EMPTY), layers, {PYTHONS: pythons})
    lock = {"artifacts": [{"kind": "runtime", "digest": manifest["digest"]}]}
    text = json.dumps({"lock": lock}).encode()
    (bundle / "bundle.json").write_bytes(text)
    (bundle / "bundle.json.sha256").write_text(f"{sha256_bytes(text)[7:]}  bundle.json\n")
    (bundle / "install").write_bytes(Path(installer.__file__).read_bytes())
    return bundle


def install(bundle: Path, *words: object) -> tuple[int, str]:
    """Run a bundle's program and return how it ended and what it said."""
    argv = [sys.executable, "-I", bundle / "install", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A whole bundle."""
    return write_bundle(tmp_path)


def test_it_installs_without_a_network_and_once(bundle: Path, tmp_path: Path) -> None:
    """The program stands in the folder that was named; a second run leaves it as it is."""
    target = tmp_path / "there"
    code, said = install(bundle, "--to", target)
    assert (code, said) == (0, f"aiplat is installed: {target}/bin/aiplat\n")
    before = (target / "pyvenv.cfg").stat().st_mtime_ns
    assert install(bundle, "--to", target)[0] == 0
    assert (target / "pyvenv.cfg").stat().st_mtime_ns == before
    said = subprocess.run([target / "bin" / "aiplat"], capture_output=True, text=True, check=True).stdout
    assert said == "installed\n"


def test_an_interrupted_installation_is_made_again(bundle: Path, tmp_path: Path) -> None:
    """What a killed run left has no digest in its mark."""
    target = tmp_path / "there"
    assert install(bundle, "--to", target)[0] == 0
    (target / ".installed-from").write_text("")
    (target / "bin" / "aiplat").unlink()
    assert install(bundle, "--to", target)[0] == 0
    assert (target / "bin" / "aiplat").exists()


def test_files_of_others_are_not_removed(bundle: Path, tmp_path: Path) -> None:
    """A folder that holds something else is left alone."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    code, said = install(bundle, "--to", tmp_path / "home")
    assert code == 2
    assert "holds other files; name another folder with --to" in said
    assert (tmp_path / "home" / "letter").read_text() == "dear"


@pytest.mark.parametrize("part", ["bundle.json", "wheel"])
def test_an_altered_part_is_named(bundle: Path, tmp_path: Path, part: str) -> None:
    """One added byte, and nothing is installed."""
    if part == "bundle.json":
        altered = bundle / part
    else:
        manifest = json.loads((bundle / "bundle.json").read_text())["lock"]["artifacts"][0]["digest"]
        altered = blob_path(
            bundle, json.loads(blob_path(bundle, manifest).read_text())["layers"][0]["digest"]
        )
    altered.write_bytes(altered.read_bytes() + b" ")
    code, said = install(bundle, "--to", tmp_path / "there")
    assert (code, said) == (2, f"Error: {altered}: was altered; bring the bundle again\n")
    assert not (tmp_path / "there" / "bin").exists()


def test_another_bundle_than_was_told_is_refused(bundle: Path, tmp_path: Path) -> None:
    """The digest that came by another way is compared."""
    code, said = install(bundle, "--to", tmp_path / "there", "--sha256", "0" * 64)
    assert code == 2
    assert "it is another bundle" in said


def test_another_python_is_told_which_ones_will_do(tmp_path: Path) -> None:
    """The Pythons stand in the bundle."""
    code, said = install(write_bundle(tmp_path, "3.7,3.8"), "--to", tmp_path / "there")
    assert code == 2
    assert f"Python {HERE}: the bundle is for Python 3.7, 3.8" in said


def test_a_bundle_without_a_runtime_says_how_to_make_one(bundle: Path, tmp_path: Path) -> None:
    """The setting of site.yaml is named."""
    text = b'{"lock": {"artifacts": []}}'
    (bundle / "bundle.json").write_bytes(text)
    (bundle / "bundle.json.sha256").write_text(f"{sha256_bytes(text)[7:]}  bundle.json\n")
    code, said = install(bundle, "--to", tmp_path / "there")
    assert code == 2
    assert "has no runtime; make one with `planes: platform: runtime: {state: on}`" in said


def test_a_module_beside_it_is_not_run(bundle: Path, tmp_path: Path) -> None:
    """Python looks beside a program first; a medium of others may hold anything there."""
    for name in ("argparse", "__future__", "hashlib"):
        (bundle / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    subprocess.run([sys.executable, bundle / "install", "--help"], capture_output=True, check=True)
    assert not (tmp_path / "ran").exists()


def test_what_stands_in_a_bundle_moves_no_terminal(tmp_path: Path) -> None:
    """A list of Pythons with an escape sequence is shown without it."""
    code, said = install(write_bundle(tmp_path, "\x1b[2J3.8"), "--to", tmp_path / "there")
    assert code == 2
    assert "for Python ?[2J3.8" in said


def test_pip_gets_the_bytes_that_were_compared(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A medium that gives others when it is read again changes nothing."""
    seen: dict[str, bytes] = {}

    def run_pip(_: Path, folder: Path) -> None:
        for blob in (bundle / "blobs/sha256").iterdir():
            blob.write_bytes(b"others")
        seen.update({path.name: path.read_bytes() for path in folder.iterdir()})

    monkeypatch.setattr(installer, "_run_pip", run_pip)
    installer.install(bundle, tmp_path / "there")
    assert seen["requirements.txt"].startswith(b"aiplat==9")
    assert b"others" not in seen.values()
