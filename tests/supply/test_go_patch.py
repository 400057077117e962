"""A Go module with files of ours over it: a copy beside, the module itself as go.sum says."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from aiplat.catalog.recipes import PatchedModule
from aiplat.errors import AiplatError
from aiplat.supply.go import go_environment, go_program
from aiplat.supply.go_patch import patched_copy

MODULE, VERSION = "example.org/lib", "v1.0.0"
FILES = {
    "go.mod": b"module example.org/lib\n",
    "lib.go": b"package lib\n",
    "big/big.go": b"package big // all of it\n",
}
PATCHED = PatchedModule(module=MODULE, folder="patched/lib")


def proxied(root: Path) -> dict[str, str]:
    """Make a Go proxy of files with the module, and return an environment in which Go asks it alone."""
    folder = root / "proxy" / MODULE / "@v"
    folder.mkdir(parents=True)
    (folder / f"{VERSION}.info").write_text(f'{{"Version": "{VERSION}"}}')
    (folder / f"{VERSION}.mod").write_bytes(FILES["go.mod"])
    with zipfile.ZipFile(folder / f"{VERSION}.zip", "w") as file:
        for name, content in FILES.items():
            file.writestr(f"{MODULE}@{VERSION}/{name}", content)
    asked = {"GOPROXY": (root / "proxy").as_uri(), "GONOSUMDB": MODULE, "GOMODCACHE": str(root / "modules")}
    return {**go_environment(), **asked, "GOFLAGS": "-modcacherw"}


def sum_of(files: dict[str, bytes]) -> str:
    """Return what Go calls h1 of a module."""
    lines = (f"{hashlib.sha256(files[n]).hexdigest()}  {MODULE}@{VERSION}/{n}\n" for n in sorted(files))
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()


def source(root: Path, summed: str) -> Path:
    """Make a folder that is built with the module, of which one file is ours."""
    folder = root / "build"
    (folder / "patched/lib/big").mkdir(parents=True)
    (folder / "patched/lib/big/big.go").write_text("package big // less\n")
    (folder / "go.mod").write_text(
        f"module example.org/own\n\nrequire {MODULE} {VERSION}\n\nreplace {MODULE} => ./patched/lib\n"
    )
    (folder / "go.sum").write_text(f"{MODULE} {VERSION} {summed}\n")
    return folder


def test_the_copy_is_the_module_with_our_files_over_it(tmp_path: Path) -> None:
    """What ships stays as it is; the copy may be written, unlike Go's cache."""
    own, program = source(tmp_path, sum_of(FILES)), go_program()
    assert program
    made = patched_copy(own, PATCHED, tmp_path / "work" / "patched", program, proxied(tmp_path))
    place = made / PATCHED.folder
    assert (place / "big/big.go").read_text() == "package big // less\n"
    assert (place / "lib.go").read_bytes() == FILES["lib.go"]
    assert (made / "go.mod").read_text() == (own / "go.mod").read_text()
    assert [p.name for p in (own / PATCHED.folder).iterdir()] == ["big"]


def test_another_module_of_the_same_version_is_refused(tmp_path: Path) -> None:
    """go.sum has no say where go.mod replaces a module by a folder, so its line is compared here."""
    own, program = source(tmp_path, "h1:another="), go_program()
    assert program
    with pytest.raises(AiplatError, match="which is not in it"):
        patched_copy(own, PATCHED, tmp_path / "work" / "patched", program, proxied(tmp_path))
