"""`aiplat doctor cluster`: what a cluster that somebody else made lacks; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiplat.cluster.kubeconfig import flattened
from aiplat.cluster.look import SeenCluster, look
from aiplat.frozen import Frozen
from aiplat.plan.cluster_needs import RIGHTS, ClusterNeed, judge_cluster
from aiplat.state import expanded


class ClusterReport(Frozen):
    """What was seen of a cluster, and what it comes to."""

    seen: SeenCluster
    needs: tuple[ClusterNeed, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is missing; what could not be seen does not count."""
        return all(need.result != "missing" for need in self.needs)

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "apiVersion": "aiplat.dev/v1alpha1",
            "kind": "ClusterReport",
            "server": self.seen.server,
            "version": self.seen.version,
            "ok": self.good,
            "needs": [need.model_dump(mode="json") for need in self.needs],
        }


def examine_cluster(kubeconfig: Path, context: str | None) -> ClusterReport:
    """Look at the cluster of a kubeconfig and judge it.

    Raises:
        BadInput: it is not a kubeconfig, has no such context, or names a file that cannot be read.
        ClusterUnreachable: it does not answer, or does not let us in.
    """
    path = expanded(kubeconfig)
    flattened(path, context)  # says in our words what is wrong with the file, as bootstrap would
    seen = look(path, context, RIGHTS)
    return ClusterReport(seen=seen, needs=tuple(judge_cluster(seen)))
