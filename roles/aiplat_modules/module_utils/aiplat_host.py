"""What aiplat's modules share on a host: its folders, verified blobs, atomic files and the ledger."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

# On a host everything has its place. Where the cluster is not aiplat's, Helm runs on the operator's machine,
# and the run says in which folder of the site's state; what goes with the run is in another.
HOME = os.environ.get("AIPLAT_HOME", "")
SCRATCH = os.environ.get("AIPLAT_SCRATCH", "/run/aiplat")
STATE = Path(HOME or "/var/lib/aiplat")
# Where staged content is if the host has no data folder.
BLOBS = str(STATE / "blobs")
CHUNK = 1 << 20
API_VERSION = "aiplat.dev/v1alpha1"
# k3s' own places.
K3S = f"{HOME}/programs/k3s" if HOME else "/usr/local/bin/k3s"
KUBECONFIG = f"{HOME}/kubeconfig" if HOME else "/etc/rancher/k3s/k3s.yaml"
HELM = f"{HOME}/programs/helm" if HOME else "/usr/local/lib/aiplat/helm"
# What kubectl and helm look up of the API is kept here, and not in root's home. k3s unpacks itself where it
# is told to; as a host's service it has done so.
KUBE_CACHE = {"KUBECACHEDIR": f"{SCRATCH}/kubectl"} | ({"K3S_DATA_DIR": f"{HOME}/programs"} if HOME else {})


class HostProblem(Exception):
    """Something on the host is not as it must be; the message is a sentence for people."""


def below(root: str, path: str) -> Path:
    """Return an absolute host path below `root` (`/` on hosts, a folder in tests)."""
    return Path(root) / path.lstrip("/")


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def mode_of(path: Path) -> str:
    """Return a path's permission bits as four octal digits."""
    return f"{stat.S_IMODE(path.lstat().st_mode):04o}"


def blob(store: Path, digest: str) -> Path:
    """Return the path of a blob that is staged in the folder `store`.

    Raises:
        HostProblem: it is not staged.
    """
    path = store / "sha256" / digest.removeprefix("sha256:")
    if not path.is_file():
        raise HostProblem(f"blob {digest} is not staged on this host; run `aiplat bootstrap` again")
    return path


def write_atomic(path: Path, source: BinaryIO, mode: int, digest: str = "") -> None:
    """Copy `source` to `path` so that readers see the old file or the new one; `digest` is checked.

    Raises:
        HostProblem: the source has another digest.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    seen = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            while piece := source.read(CHUNK):
                seen.update(piece)
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        if digest and seen.hexdigest() != digest:
            raise HostProblem(f"what {path} is made from has another digest than it is named by")
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def ledger_path(root: str) -> Path:
    """Return where the ledger is."""
    return below(root, str(STATE / "ledger.json"))


def read_ledger(root: str, site: str = "") -> dict[str, Any]:
    """Return the ledger; an empty one of `site` if there is none.

    Raises:
        HostProblem: it is damaged, from a newer aiplat, or of another site.
    """
    path = ledger_path(root)
    if not path.exists():
        return {"apiVersion": API_VERSION, "kind": "Ledger", "site": site, "steps": {}}
    try:
        ledger: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise HostProblem(f"{path} is damaged ({error})") from error
    if ledger.get("apiVersion") != API_VERSION:
        raise HostProblem(f"{path} is from a newer aiplat ({ledger.get('apiVersion')})")
    if site and ledger.get("site") != site:
        raise HostProblem(f"this host belongs to site {ledger.get('site')}, not {site}; reset it there first")
    return ledger


def write_ledger(root: str, ledger: dict[str, Any]) -> bool:
    """Write the ledger if it differs from the one there, and say whether it did."""
    path = ledger_path(root)
    data = json.dumps(ledger, indent=1, sort_keys=True).encode() + b"\n"
    if path.exists() and path.read_bytes() == data:
        return False
    with tempfile.TemporaryFile() as source:
        source.write(data)
        source.seek(0)
        write_atomic(path, source, 0o600)
    return True


def run(argv: list[str], stdin: str = "", timeout: float = 300, more: dict[str, str] | None = None) -> str:
    """Run a command, with `more` added to the environment, and return what it prints.

    Raises:
        HostProblem: it failed or did not end in time; with its last words.
    """
    environment = {**os.environ, **(more or {})}
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HostProblem(f"`{' '.join(argv[:4])}` did not end within {timeout:.0f} s") from error
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise HostProblem(f"`{' '.join(argv[:4])}` failed: {' '.join(words[-5:])}")
    return done.stdout


def kubectl(*arguments: str, stdin: str = "", timeout: float = 300) -> str:
    """Run k3s' kubectl as the cluster's admin and return what it prints.

    Raises:
        HostProblem: it failed or did not end in time.
    """
    program = [K3S, "kubectl", f"--kubeconfig={KUBECONFIG}"]
    return run([*program, *arguments], stdin, timeout, KUBE_CACHE)
