"""Which blobs each host must hold; moving them is aiplat.fleet's."""

from __future__ import annotations

from aiplat.catalog.artifacts import Artifact, Blob, Lock
from aiplat.plan.models import HostFacts
from aiplat.site.models import Host, Site


def wanted_blobs(site: Site, lock: Lock) -> dict[str, tuple[Blob, ...]]:
    """Return each host's blobs, every one once."""
    return {host.name: _of_host(host, lock) for host in site.hosts}


def wanted_artifacts(host: Host, lock: Lock) -> tuple[Artifact, ...]:
    """Return what is brought to a host.

    Servers get all images, charts and models, since the site registry serves them from there; every host gets
    the host files that it installs, for its own architecture.
    """
    return tuple(a for a in lock.artifacts if _is_for(host, a))


def _is_for(host: Host, artifact: Artifact) -> bool:
    if is_served(artifact):
        return host.role == "server"
    if artifact.kind != "hostfile":
        return False
    mine = artifact.platform == f"linux/{host.arch}" and artifact.os in (None, host.os)
    if not host.takes(artifact.when):
        return False
    return mine and (artifact.hosts == "all" or host.role == "server")


def is_served(artifact: Artifact) -> bool:
    """Whether the site registry has it: neither a host file nor what the operator's machine alone runs."""
    return artifact.kind not in ("hostfile", "runtime")


def served(lock: Lock) -> list[Artifact]:
    """Return what the site registry has, in lock order."""
    return [artifact for artifact in lock.artifacts if is_served(artifact)]


def missing_blobs(wanted: tuple[Blob, ...], facts: HostFacts) -> tuple[Blob, ...]:
    """Return the blobs a host does not hold yet."""
    there = frozenset(facts.blobs)
    return tuple(blob for blob in wanted if blob.digest not in there)


def _of_host(host: Host, lock: Lock) -> tuple[Blob, ...]:
    found = {blob.digest: blob for artifact in wanted_artifacts(host, lock) for blob in _needed(artifact)}
    return tuple(found.values())


def _needed(artifact: Artifact) -> tuple[Blob, ...]:
    if artifact.packages:
        return tuple(Blob(digest=package.digest, size=package.size) for package in artifact.packages)
    if artifact.kind != "hostfile" or not artifact.file:
        return artifact.blobs
    return tuple(blob for blob in artifact.blobs if blob.digest == artifact.file)
