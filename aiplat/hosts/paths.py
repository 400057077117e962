"""Where aiplat and Kubernetes keep what is large on a host; everything else that needs a path asks here."""

from __future__ import annotations

from aiplat.frozen import Frozen

STATE = "/var/lib/aiplat"
"""Ledger, lock and the record of the data folder: always here, so that a host is known without its site."""

SYSTEM_DATA = "/var/lib"
"""What holds all of it where a site names no data folder."""


class Paths(Frozen):
    """The folders of one host that grow with what it is given."""

    data: str
    """The data folder that the site names; empty, where everything is in its usual place."""
    blobs: str
    registry: str
    k3s_before: str
    k3s: str
    kubelet: str

    @property
    def token(self) -> str:
        """The file in which a server of k3s keeps the token that nodes join with."""
        return f"{self.k3s}/server/token"


def paths_of(data_dir: str | None) -> Paths:
    """Return a host's folders: in its data folder, or in their usual places where it has none."""
    ours = data_dir or STATE
    return Paths(
        data=data_dir or "",
        blobs=f"{ours}/blobs",
        registry=f"{ours}/registry",
        k3s_before=f"{ours}/k3s-before",
        k3s=f"{data_dir}/k3s" if data_dir else "/var/lib/rancher/k3s",
        kubelet=f"{data_dir}/kubelet" if data_dir else "/var/lib/kubelet",
    )
