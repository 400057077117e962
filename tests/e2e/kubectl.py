"""Somebody with kubectl on a machine of their own: it runs `aiplat login`, their browser signs them in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.catalog.resolve import resolve
from aiplat.site.load import load_site
from aiplat.supply.oci import blob_path
from aiplat.supply.packages import PackagesSupply
from tests.patience import PATIENCE

# In a view of the file system that is this command's alone, names lead where `aiplat hosts` says.
_WITH_NAMES = 'mount --bind "$0" /etc/hosts && exec "$@"'


@dataclass(frozen=True)
class Desk:
    """One person's machine: `names` is its /etc/hosts, `home` where aiplat keeps their session.

    `browse` opens an address and signs them in; what the browser is then led to on loopback, it asks for.
    """

    home: Path
    names: Path
    programs: Path
    kubeconfig: Path
    browse: Callable[[str], None]

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command there; whatever it prints that is the address of a sign-in is opened."""
        env = os.environ | {
            "AIPLAT_STATE": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        running = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _WITH_NAMES, str(self.names), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert running.stdin
        assert running.stdout
        assert running.stderr
        running.stdin.write(given)
        running.stdin.close()
        said = ""
        for line in running.stderr:
            if line.startswith("https://"):
                self.browse(line.strip())
            said += line
        told = running.stdout.read()
        return subprocess.CompletedProcess(words, running.wait(PATIENCE), told, said)

    def kubectl(self, *words: str, given: str = "") -> str:
        """Run kubectl and return what it printed; it has to be content."""
        done = self.run("kubectl", *words, given=given)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def refusal(self, *words: str, given: str = "") -> str:
        """Run kubectl and return why it was refused."""
        done = self.run("kubectl", *words, given=given)
        assert done.returncode != 0, f"{words}: {done.stdout}"
        return done.stderr

    def who(self) -> dict[str, Any]:
        """Return as whom the API server knows the person; empty where it takes no token of theirs."""
        done = self.run("kubectl", "auth", "whoami", "-o", "json")
        return dict(json.loads(done.stdout)["status"]["userInfo"]) if done.returncode == 0 else {}


def put_kubectl(folder: Path, site_file: Path) -> None:
    """Put the lab's own kubectl into a folder of programs."""
    supply = PackagesSupply(resolve(load_site(site_file)))
    made = supply.supply(supply.lock.artifact("hostfile", "k3s"), lambda *_: None)
    shutil.copyfile(blob_path(made.folder, str(made.artifact.file)), folder / "kubectl")
    (folder / "kubectl").chmod(0o700)
