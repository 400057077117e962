"""Releases of k3s as numbers: which is newer, and which step from one to another k3s allows."""

from __future__ import annotations

import re
from typing import NamedTuple

_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:\+k3s(\d+))?")


class K3sRelease(NamedTuple):
    """A release, `v1.2.3+k3s1`; later ones are greater."""

    major: int
    minor: int
    patch: int
    build: int = 0

    def __str__(self) -> str:
        """Return the release as its project writes it."""
        return f"v{self.major}.{self.minor}.{self.patch}+k3s{self.build}"

    @property
    def refuses_cgroup_v1(self) -> bool:
        """Whether its kubelet does not start on version 1 control groups unless it is told to."""
        return (self.major, self.minor) >= (1, 35)

    def known_since(self, firsts: str) -> bool:
        """Whether it is one of `firsts` or later; each counts for its own minor version."""
        releases = sorted(release_of(first) for first in firsts.split(","))
        same_minor = [r for r in releases if r[:2] == self[:2]]
        return self >= (same_minor or releases[-1:])[0]


def release_of(text: str) -> K3sRelease:
    """Return a release from its text; what stands behind it (`@sha256:…`) is passed over.

    Raises:
        ValueError: it is none.
    """
    found = _RELEASE.match(text)
    if not found:
        raise ValueError(f"{text!r} is not a release of k3s")
    return K3sRelease(*(int(part or 0) for part in found.groups()))


def step_problem(old: K3sRelease, new: K3sRelease) -> tuple[str, str] | None:
    """Return why k3s does not allow a step from one release to another, and what to do; None if it does."""
    if new < old:
        problem = f"k3s {old} runs, and {new} is older: its datastore cannot be read by an older one"
        return (
            problem,
            f"use an aiplat with k3s {old} or later, or go back by the copy that the upgrade kept",
        )
    if new.minor - old.minor > 1 or new.major != old.major:
        problem = f"k3s {old} runs, and {new} skips a minor version, which Kubernetes does not allow"
        return problem, f"upgrade by an aiplat with a k3s of v{old.major}.{old.minor + 1} first"
    return None
