"""A site whose commands run from a copy of the checkout, with components that only the copy has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from aiplat.lab import lab_down
from aiplat.shipped import shipped_root
from aiplat.site.load import load_site
from tests.e2e.journey import SITES, Journey

_FOLDERS = ("aiplat", "charts", "inventory", "lab", "locks", "playbooks", "roles")
_MAIN = "from aiplat.cli.main import main; main()"


@dataclass(frozen=True)
class Checkout(Journey):
    """A journey whose commands run from a copy of the checkout, which may have more components."""

    root: Path = Path()

    def aiplat(self, *words: str, expect: int = 0, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a verb of the copy and see that it exits with `expect`."""
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(self.root)},
        )
        assert done.returncode == expect, f"{words}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def on_host(self, command: str, host: str | None = None, expect: int = 0) -> str:
        """Run a shell command on a host (default: the one server); the copy's site file is not read here."""
        return super().on_host(command, host or f"{self.name}-s1", expect)

    def environment(self) -> dict[str, str]:
        """Return what `aiplat env` of the copy says, with this process's environment."""
        script = f"{self.aiplat('env', str(self.site_file)).stdout}\nenv -0"
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
        return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if "=" in pair)


@contextmanager
def checked_out(
    name: str, folders: pytest.TempPathFactory, changes: Mapping[str, tuple[str, str]]
) -> Iterator[Checkout]:
    """Yield a copy of the checkout with state of its own, whose site's lab is up; both go with the block.

    `name` is that of a file in `sites/`. `changes` are texts of the copy's files, by their paths: each once
    there, and what stands in its place.
    """
    root, state = folders.mktemp("checkout"), folders.mktemp("state")
    site_file = copy_checkout(root, (SITES / f"{name}.yaml").read_text())
    for path, (before, after) in changes.items():
        text = (root / path).read_text()
        assert text.count(before) == 1, path
        (root / path).write_text(text.replace(before, after))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(state))
        made = Checkout(load_site(site_file).name, site_file, state, root)
        made.aiplat("lab", "up", str(site_file))
        yield made
        lab_down(made.name)
    shutil.rmtree(state)


def copy_checkout(root: Path, site: str) -> Path:
    """Copy what ships into a folder, with a site file, and return that file."""
    for name in _FOLDERS:
        shutil.copytree(shipped_root() / name, root / name)
    for name in ("ansible.cfg", "versions.yaml"):
        shutil.copy(shipped_root() / name, root)
    file = root / "site.yaml"
    file.write_text(site)
    return file
