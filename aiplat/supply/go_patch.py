"""Makes a copy of a Go module with some files of ours laid over it; building is aiplat.supply.go's."""

from __future__ import annotations

import shutil
from pathlib import Path

from aiplat.catalog.recipes import PatchedModule
from aiplat.catalog.versions import from_go_mod
from aiplat.content import parsed_json
from aiplat.errors import AiplatError, Finding
from aiplat.supply.process import run


def patched_copy(source: Path, patched: PatchedModule, target: Path, go: Path, env: dict[str, str]) -> Path:
    """Copy a folder with a go.mod to `target`, with the module it replaces by a folder of its own.

    That folder in `source` has the files that differ from the module's. go.sum says which module it is.

    Raises:
        AiplatError: the module cannot be had, or is not the one that go.sum says.
    """
    shutil.copytree(source, target)
    version = from_go_mod(source / "go.mod", patched.module)
    module = _downloaded(f"{patched.module}@{version}", source / "go.sum", target.parent, go, env)
    place = target / patched.folder
    shutil.rmtree(place)
    shutil.copytree(module, place, copy_function=shutil.copyfile)
    for folder in (place, *(path for path in place.rglob("*") if path.is_dir())):
        folder.chmod(0o755)  # in Go's cache they are read-only
    shutil.copytree(source / patched.folder, place, dirs_exist_ok=True)
    return target


def _downloaded(module: str, sums: Path, cwd: Path, go: Path, env: dict[str, str]) -> Path:
    """Return the folder of a module in Go's cache."""
    said = run(
        [go, "mod", "download", "-json", module], what=module, cwd=cwd, env={**env, "GOFLAGS": "-modcacherw"}
    )
    text = "\n".join(said)
    found = parsed_json(text[text.index("{") : text.rindex("}") + 1])
    if f"{module.replace('@', ' ')} {found['Sum']}" not in sums.read_text().splitlines():
        problem = f"{module} is {found['Sum']}, which is not in it"
        raise AiplatError(Finding(str(sums), problem, "see what changed, then write the line"))
    return Path(found["Dir"])
