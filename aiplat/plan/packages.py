"""Packages of hosts' operating systems as roles are given them; which are wanted is the lock's."""

from __future__ import annotations

from aiplat.catalog.artifacts import Artifact
from aiplat.plan.role_variables import Package


def content_digest(artifact: Artifact) -> str:
    """Return the digest of an artifact's file; until it was supplied once, that of what it is made of."""
    return artifact.file or artifact.digest or artifact.inputs


def packages_in(artifact: Artifact) -> list[Package]:
    """Return the packages of an artifact: a set of a system's, or one that is an artifact itself."""
    needs = artifact.when if artifact.when in ("selinux", "apparmor") else ""
    if artifact.os:
        every = artifact.packages
        return [Package(name=p.name, version=p.version, digest=p.digest, needs=needs) for p in every]
    return [Package(name=artifact.name, version=artifact.version, digest=content_digest(artifact))]
