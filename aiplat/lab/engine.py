"""Asks a Docker engine through its command line, which knows the user's contexts; decides nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from aiplat.errors import AiplatError, Finding
from aiplat.lab.tools import DIES_WITH_CALLER, attempt, run, run_json

Container = dict[str, Any]
"""What the engine says of a container."""
LABEL = "dev.aiplat.lab"
"""What everything of a lab in an engine is marked with; its value is the lab's name."""
# What lists things of a kind, and how it is told to print their names.
_LISTED = {
    "container": ("ps --all", "{{.Names}}"),
    "image": ("image ls", "{{.Repository}}:{{.Tag}}"),
    "volume": ("volume ls", "{{.Name}}"),
    "network": ("network ls", "{{.Name}}"),
}
_REMOVED = {
    "container": ("rm", "--force"),
    "image": ("image", "rm", "--force"),
    "volume": ("volume", "rm"),
    "network": ("network", "rm"),
}


def missing() -> list[Finding]:
    """Return what keeps this machine from having hosts in a Docker engine."""
    another = "or use the driver nspawn"
    if shutil.which("docker") is None:
        return [Finding("docker", "the command docker is not found", f"apt-get install docker.io, {another}")]
    asked = attempt(("docker", "version", "--format", "{{.Server.Version}}"))
    if asked.returncode != 0:
        return [Finding("docker", f"no engine answers at {endpoint()}", f"start one, {another}")]
    return []


def endpoint() -> str:
    """Return the address at which the user's command line looks for an engine."""
    chosen = os.environ.get("DOCKER_HOST")
    asked = attempt(("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"))
    return chosen or asked.stdout.strip() or "the address of its current context"


def docker(*words: str) -> str:
    """Run the command line and return what it printed.

    Raises:
        AiplatError: the engine refused, in its own words.
    """
    return run("docker", *words)


def listed(kind: str, lab: str) -> tuple[str, ...]:
    """Return the names of a lab's containers, images, volumes or networks."""
    verb, form = _LISTED[kind]
    return tuple(docker(*verb.split(), "--filter", f"label={LABEL}={lab}", "--format", form).split())


def everything(lab: str) -> dict[str, tuple[str, ...]]:
    """Return all that the engine holds of a lab: kind → names, in the order in which it can be removed."""
    return {kind: listed(kind, lab) for kind in _LISTED}


def remove(kind: str, name: str) -> None:
    """Remove one thing; one that is gone already counts as removed.

    Raises:
        AiplatError: the engine does not remove it.
    """
    done = attempt(("docker", *_REMOVED[kind], name))
    if done.returncode != 0 and "no such" not in done.stderr.lower():
        raise AiplatError(Finding(f"{kind} {name}", done.stderr.strip(), "run it again"))


def inspected(*containers: str) -> dict[str, Container]:
    """Return what the engine says of containers: name → its document, without those that are not there."""
    documents = run_json("docker", "container", "inspect", *containers) if containers else []
    return {str(d["Name"]).removeprefix("/"): d for d in documents}


def has_image(name: str) -> bool:
    """Whether the engine has an image of this name."""
    return attempt(("docker", "image", "inspect", name)).returncode == 0


def import_root(root: Path, image: str) -> None:
    """Make an image of a folder that is a root file system.

    Raises:
        AiplatError: the folder could not be read whole, or the engine did not take it.
    """
    pack = (*DIES_WITH_CALLER, "tar", "--numeric-owner", "-C", str(root), "-c", ".")
    with subprocess.Popen(pack, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as packing:
        argv = ("docker", "import", "-", image)
        taken = subprocess.run(argv, stdin=packing.stdout, capture_output=True, text=True, check=False)
    if packing.returncode != 0 or taken.returncode != 0:
        remove("image", image)
        raise AiplatError(Finding(f"image {image}", f"was not imported: {taken.stderr.strip()}"))
