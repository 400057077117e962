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

    Servers get all artifacts, since the site registry serves them from there; agents only get the host
    files they install and pull everything else from the registry.
    """
    if host.role == "server":
        return lock.artifacts
    return tuple(a for a in lock.of("hostfile") if a.hosts == "all")


def missing_blobs(wanted: tuple[Blob, ...], facts: HostFacts) -> tuple[Blob, ...]:
    """Return the blobs a host does not hold yet."""
    there = frozenset(facts.blobs)
    return tuple(blob for blob in wanted if blob.digest not in there)


def _of_host(host: Host, lock: Lock) -> tuple[Blob, ...]:
    found = {blob.digest: blob for artifact in wanted_artifacts(host, lock) for blob in _needed(artifact)}
    return tuple(found.values())


def _needed(artifact: Artifact) -> tuple[Blob, ...]:
    if artifact.kind != "hostfile" or not artifact.file:
        return artifact.blobs
    return tuple(blob for blob in artifact.blobs if blob.digest == artifact.file)
