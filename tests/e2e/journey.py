"""A site on lab hosts as its operator sees it: through the command line, ssh and the platform's URL."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import testinfra
from testinfra.host import Host

from aiplat.lab import ssh_argv
from aiplat.site.load import load_site
from tests.patience import PATIENCE

AIPLAT = str(Path(sys.executable).with_name("aiplat"))
SITES = Path(__file__).parent / "sites"


def site_to_change(name: str, folder: Path) -> Path:
    """Copy the file of this name in `sites/` into a folder, for a journey on which it changes."""
    file = folder / "site.yaml"
    file.write_text((SITES / f"{name}.yaml").read_text())
    return file


@dataclass(frozen=True)
class Journey:
    """One lab site with a state folder of its own; `site_file` is what every verb is given."""

    name: str
    site_file: Path
    state: Path

    def aiplat(self, *words: str, expect: int = 0, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a verb of the command line with `given` as its input and see that it exits with `expect`."""
        done = subprocess.run(
            [AIPLAT, *words], input=given, capture_output=True, text=True, timeout=1500, check=False
        )
        assert done.returncode == expect, (
            f"{words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done

    def bootstrap(self, expect: int = 0) -> dict[str, Any]:
        """Bootstrap the site and return the Summary, the last JSON line."""
        return self.lines("bootstrap", str(self.site_file), "--yes", "--json", expect=expect)[-1]

    def first_link(self, issuer: str) -> str:
        """Bootstrap the site and return the link for the first admin that its own sign-in ends with."""
        done = self.aiplat("bootstrap", str(self.site_file), "--yes")
        said = (line.strip() for line in done.stderr.splitlines())
        links = [line for line in said if line.startswith(f"{issuer}/reset/admin/")]
        assert len(links) == 1, done.stderr
        return links[0]

    def lines(self, *words: str, expect: int = 0) -> list[dict[str, Any]]:
        """Run a verb with `--json` that prints JSON lines and return them."""
        return [json.loads(line) for line in self.aiplat(*words, expect=expect).stdout.splitlines() if line]

    def document(self, verb: str, *more: str, expect: int = 0) -> dict[str, Any]:
        """Run a reading verb with `--json` and return its one document."""
        return dict(json.loads(self.aiplat(verb, *more, str(self.site_file), "--json", expect=expect).stdout))

    def on_host(self, command: str, host: str | None = None, expect: int = 0) -> str:
        """Run a shell command on a host (default: the first) and return what it printed."""
        name = host or load_site(self.site_file).hosts[0].name
        done = subprocess.run(
            [*ssh_argv(self.name, name), command],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == expect, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def reached(self, host: str) -> bool:
        """Whether a host lets in whoever comes by ssh."""
        argv = [*ssh_argv(self.name, host), "true"]
        return subprocess.run(argv, capture_output=True, timeout=PATIENCE, check=False).returncode == 0

    def environment(self) -> dict[str, str]:
        """Return the environment of a shell after `eval "$(aiplat env SITE)"`."""
        script = f'eval "$({AIPLAT} env {self.site_file})" && env -0'
        done = subprocess.run(
            ["/bin/sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if "=" in pair)

    def platform(self) -> httpx.Client:
        """Return a client of the site's platform that sends its key."""
        env = self.environment()
        return httpx.Client(
            base_url=env["OPENAI_BASE_URL"] + "/",
            headers={"Authorization": f"Bearer {env['OPENAI_API_KEY']}"},
            verify=ssl.create_default_context(cafile=env["SSL_CERT_FILE"]),
            timeout=PATIENCE,
        )

    def with_clients(self, program: str) -> str:
        """Run a Python program in that environment and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def bundle(self) -> Path:
        """Return the folder of the site's bundle."""
        return self.state / "aiplat" / "bundles" / self.name

    def image(self, name: str) -> str:
        """Return the reference by digest of an image of the bundle, by the last part of its name."""
        lock = json.loads((self.bundle() / "bundle.json").read_text())["lock"]
        images = (a for a in lock["artifacts"] if a["kind"] == "image" and a["name"].endswith(f"/{name}"))
        found = next(images)
        return f"{found['name']}:{found['version']}@{found['digest']}"

    def testinfra(self, name: str | None = None) -> Host:
        """Return a host (default: the first) for testinfra to look at, over ssh."""
        site = load_site(self.site_file)
        host = next(h for h in site.hosts if name in {None, h.name})
        folder = self.state / "aiplat" / "sites" / self.name
        return testinfra.get_host(
            f"ssh://root@{host.address}",
            ssh_identity_file=str(folder / "ssh_key"),
            ssh_extra_args=f"-o UserKnownHostsFile={folder / 'known_hosts'} -o StrictHostKeyChecking=yes",
        )

    def units(self, host: str | None = None) -> str:
        """Return main process and restart count of every unit aiplat runs on a host."""
        return self.on_host(
            "systemctl show -p Id,MainPID,NRestarts,ActiveState aiplat-registry k3s k3s-agent", host
        )
