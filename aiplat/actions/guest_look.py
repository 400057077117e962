"""Looks at a cluster that aiplat did not make, and at what is recorded here of it; changes nothing there."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from aiplat.catalog.artifacts import Lock
from aiplat.cluster.client import Cluster
from aiplat.cluster.kubeconfig import flattened
from aiplat.cluster.look import SeenCluster, look
from aiplat.content import parsed_json, write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.plan.cluster_needs import RIGHTS
from aiplat.plan.guest_plan import GuestFacts
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import HostFacts, Ledger, ReleaseState
from aiplat.runs.guest_images import absent
from aiplat.site.models import Site
from aiplat.state import ledger_file, site_dir


def look_at_guest(site: Site, lock: Lock) -> GuestFacts:
    """Return what a site's cluster is like, what is in it, and what its nodes cannot get yet.

    Raises:
        BadInput: the kubeconfig cannot be used, or the cluster does not let us in.
        ClusterUnreachable: it does not answer.
    """
    kubeconfig = known_kubeconfig(site)
    seen = look(kubeconfig, None, RIGHTS)
    lacking, problem = absent(site, lock, [node.name for node in seen.machines or ()])
    return GuestFacts(seen=seen, there=_there(site, kubeconfig, seen), absent=lacking, problem=problem)


def known_kubeconfig(site: Site) -> Path:
    """Write the site's part of the kubeconfig it names to its state (0600), and return where that is.

    Raises:
        BadInput: it cannot be used.
    """
    assert site.cluster.existing is not None  # noqa: S101 - asked for guests alone
    document = flattened(site.cluster.existing, site.cluster.context)
    path = site_dir(site.name) / "kubeconfig"
    write_atomic(path, json.dumps(document, indent=2).encode() + b"\n", 0o600)
    return path


def known_ledger(site: Site) -> Ledger | None:
    """Return what is recorded here of what was installed, or None.

    Raises:
        BadInput: it is damaged, or from a newer aiplat.
    """
    path = ledger_file(site.name)
    if not path.exists():
        return None
    try:
        return Ledger.model_validate(parsed_json(path.read_bytes()))
    except (ValidationError, ValueError) as error:
        fix = "use the aiplat that was used for the site last"
        raise BadInput(Finding(str(path), "is damaged, or from a newer aiplat", fix)) from error


def _there(site: Site, kubeconfig: Path, seen: SeenCluster) -> HostFacts:
    """Return what hosts' facts are elsewhere."""
    releases = tuple(
        ReleaseState(
            name=r.name, namespace=r.namespace, revision=r.revision, status=r.status, inputs=r.inputs
        )
        for r in Cluster(kubeconfig).releases()
        if r.inputs
    )
    return HostFacts(
        host=OPERATOR,
        reachable=True,
        ledger=known_ledger(site),
        nodes_ready=tuple(node.name for node in seen.machines or ()) or (OPERATOR,),
        releases=releases,
    )
