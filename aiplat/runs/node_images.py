"""Images and models in nodes that are containers of an engine here, as kind and k3d make them."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from aiplat.catalog.artifacts import Artifact
from aiplat.errors import AiplatError, Finding
from aiplat.supply.oci import Descriptor, blob_path, layout_files, media_type_of

ENGINES = ("docker", "podman", "nerdctl")
"""Command lines of the engines in which kind and k3d make nodes, in the order in which they are asked."""
# Kubernetes' own namespace in containerd: images of other ones no pod gets.
_CTR = ("ctr", "--namespace", "k8s.io")
_LINES_SAID = 3


@dataclass(frozen=True)
class NodeContainer:
    """A node of the cluster that is a container of the same name in an engine on this machine."""

    engine: str
    name: str

    def names(self) -> frozenset[str]:
        """Return the names of the images that its containerd has.

        Raises:
            AiplatError: it does not say.
        """
        return frozenset(self._run(*_CTR, "images", "ls", "--quiet").split())

    def load(self, wanted: Sequence[Artifact], layout: Path, moved: Callable[[int], None]) -> None:
        """Bring images of an OCI layout into its containerd, each under its name with its digest.

        Nothing is unpacked: the kubelet's own snapshotter, which may be another than `ctr` takes, does that
        when a pod needs it. Cut off, no name is there yet, and what came is cleared up by containerd.

        Raises:
            AiplatError: it does not take them.
        """
        argv = [
            self.engine,
            "exec",
            "--interactive",
            self.name,
            *_CTR,
            "images",
            "import",
            "--no-unpack",
            "-",
        ]
        with TemporaryFile() as said:
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=said, stderr=said) as importing:
                assert importing.stdin is not None  # noqa: S101 - it is a pipe
                try:
                    with importing.stdin as pipe:
                        _write_archive(pipe, wanted, layout, moved)
                except BrokenPipeError:
                    importing.wait()
            said.seek(0)
            self._see(argv, importing.returncode, said.read().decode(errors="replace"))
        if lacking := {name_of(artifact) for artifact in wanted} - self.names():
            problem = f"took the images and does not name {', '.join(sorted(lacking))}"
            raise AiplatError(Finding(f"node {self.name}", problem, "run it again"))

    def _run(self, *words: str) -> str:
        argv = [self.engine, "exec", self.name, *words]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self._see(argv, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def _see(self, argv: Sequence[str], status: int, said: str) -> None:
        if status:
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            problem = " / ".join(lines[-_LINES_SAID:]) or f"{argv[0]} ended with {status}"
            raise AiplatError(Finding(f"node {self.name}", problem, "see that it runs, then run it again"))


def node_containers(nodes: Sequence[str]) -> tuple[NodeContainer, ...]:
    """Return the containers that the nodes are.

    Raises:
        AiplatError: no engine is found, or one of the nodes is not a container of any.
    """
    fix = "run aiplat on the machine that made the cluster, as who may use its engine"
    if not nodes:
        raise AiplatError(Finding("cluster.load", "the nodes may not be listed", "ask as an administrator"))
    engines = [engine for engine in ENGINES if shutil.which(engine)]
    if not engines:
        problem = f"none of {', '.join(ENGINES)} is found here, and nodes are loaded by one of them"
        raise AiplatError(Finding("cluster.load", problem, fix))
    found = {name: engine for name in nodes for engine in reversed(engines) if _has(engine, name)}
    if strange := [name for name in nodes if name not in found]:
        problem = f"{', '.join(strange)}: no container of that name runs in {' or '.join(engines)} here"
        raise AiplatError(Finding("cluster.load", problem, fix))
    return tuple(NodeContainer(found[name], name) for name in nodes)


def name_of(artifact: Artifact) -> str:
    """Return the name under which the kubelet looks for an image that pods name with tag and digest."""
    return f"{artifact.name}@{artifact.digest}"


def lacking(
    nodes: Sequence[NodeContainer], wanted: Sequence[Artifact]
) -> Mapping[NodeContainer, list[Artifact]]:
    """Return what each node does not have, for nodes that lack something.

    Raises:
        AiplatError: a node does not say what it has.
    """
    named = {node: node.names() for node in nodes}
    lacks = {node: [a for a in wanted if name_of(a) not in names] for node, names in named.items()}
    return {node: artifacts for node, artifacts in lacks.items() if artifacts}


def archive_bytes(wanted: Sequence[Artifact]) -> int:
    """Return how many bytes of content an archive of images has: a layer of several is in it once."""
    return sum({blob.digest: blob.size for artifact in wanted for blob in artifact.blobs}.values())


def _has(engine: str, name: str) -> bool:
    argv = [engine, "container", "inspect", "--format", "{{.State.Running}}", name]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip() == "true"


def _write_archive(
    target: IO[bytes], wanted: Sequence[Artifact], layout: Path, moved: Callable[[int], None]
) -> None:
    with tarfile.open(fileobj=target, mode="w|") as tar:
        for name, text in layout_files([_described(artifact, layout) for artifact in wanted]).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        for digest in {blob.digest: None for artifact in wanted for blob in artifact.blobs}:
            path = blob_path(layout, digest)
            # Links of the bundle's store would be links in the archive, which containerd refuses.
            with path.open("rb") as content:
                entry = tarfile.TarInfo(f"blobs/sha256/{path.name}")
                entry.size = path.stat().st_size
                tar.addfile(entry, content)
            moved(entry.size)


def _described(artifact: Artifact, layout: Path) -> Descriptor:
    """Return the entry of an image in the archive's index, by which containerd learns its name."""
    digest = str(artifact.digest)
    return {
        "mediaType": media_type_of(layout, digest),
        "digest": digest,
        "size": blob_path(layout, digest).stat().st_size,
        "annotations": {"io.containerd.image.name": name_of(artifact)},
    }
