"""Stands in for an engine's command line and the containerd of its nodes, for machines without an engine.

`STAND_IN` is a folder with one folder a node: `names` is what its containerd names. It takes an archive as
containerd does: every blob that a manifest names must be there and whole. `full` in a node's folder: its disk
is. The real ones take part in the journey loaded_cluster.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path


def main(words: list[str]) -> int:
    """Do what the command line was asked for."""
    nodes = Path(os.environ["STAND_IN"])
    match words:
        case ["container", "inspect", *_, name]:
            sys.stdout.write("true" if (nodes / name).exists() else "")
            return 0 if (nodes / name).exists() else 1
        case ["exec", name, "ctr", "--namespace", "k8s.io", "images", "ls", "--quiet"]:
            sys.stdout.write((nodes / name / "names").read_text())
            return 0
        case ["exec", "--interactive", name, "ctr", "--namespace", "k8s.io", "images", "import", *_, "-"]:
            return take(nodes / name)
    sys.stderr.write(f"unknown command {words}\n")
    return 125


def take(node: Path) -> int:
    """Take an archive into a node."""
    if (node / "full").exists():
        sys.stderr.write("ctr: write /var/lib: no space left on device\n")
        return 1
    with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    images = json.loads(files["index.json"])["manifests"]
    for image in images:
        manifest = json.loads(whole(files, image["digest"]))
        for blob in (manifest["config"], *manifest["layers"]):
            whole(files, blob["digest"])
    with (node / "names").open("a") as names:
        names.writelines(f"{image['annotations']['io.containerd.image.name']}\n" for image in images)
    (node / "archives").open("a").write(f"{len(files)}\n")
    return 0


def whole(files: dict[str, bytes], digest: str) -> bytes:
    """Return a blob of the archive, which has the digest that it is named by."""
    content = files[f"blobs/sha256/{digest.removeprefix('sha256:')}"]
    assert hashlib.sha256(content).hexdigest() == digest.removeprefix("sha256:"), digest
    return content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
