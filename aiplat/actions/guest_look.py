"""Looks at a cluster that aiplat did not make, and at what is recorded here of it; changes nothing there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from aiplat.catalog.artifacts import Lock
from aiplat.cluster.client import Cluster
from aiplat.cluster.kubeconfig import flattened
from aiplat.cluster.look import SeenCluster, look
from aiplat.cluster.made_objects import object_drift
from aiplat.cluster.raw import RawObjects
from aiplat.content import digest_of, parsed_json, write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.fleet.cluster_lease import FIX, hold_cluster, other_run
from aiplat.fleet.guest_way import GATEWAY_NAMESPACE, GATEWAY_OUTSIDE, door_of, given_address
from aiplat.fleet.lease import LeaseError
from aiplat.plan.cluster_needs import RIGHTS
from aiplat.plan.guest_plan import RELEASE, GuestFacts
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import HostFacts, Ledger, ReleaseState
from aiplat.runs.guest_images import absent
from aiplat.runs.run import Run
from aiplat.runs.watchdog import end_processes_of
from aiplat.site.given_address import awaits_address
from aiplat.site.models import Site
from aiplat.state import ledger_file, site_dir


def look_at_guest(site: Site, lock: Lock | None) -> GuestFacts:
    """Return what a site's cluster is like, what is in it, and what its nodes cannot get yet.

    Without a lock the registry is not asked for anything.

    Raises:
        BadInput: the kubeconfig cannot be used.
        ClusterUnreachable: it does not answer, or does not let us in.
    """
    kubeconfig = known_kubeconfig(site)
    seen = look(kubeconfig, None, RIGHTS)
    lacking, problem = absent(site, lock, seen.nodes) if lock else ((), "")
    return GuestFacts(
        seen=seen,
        there=_there(site, kubeconfig, seen),
        absent=lacking,
        problem=problem,
        other_run=other_run(kubeconfig),
        address=given_address(Cluster(kubeconfig)) if awaits_address(site) else "",
    )


def see_free(found: GuestFacts) -> None:
    """Stop where another machine's run changes the cluster.

    Raises:
        LeaseError: one does; the finding names it, and until when it holds the cluster.
    """
    if found.other_run:
        raise LeaseError(Finding(found.where, found.other_run, FIX))


@contextlib.contextmanager
def held_cluster(run: Run, site: Site, found: GuestFacts) -> Iterator[GuestFacts]:
    """Hold a site's cluster for a run, and look at it again: another may have been at work until now.

    Raises:
        LeaseError: another run holds it, or it was lost: what the run had started is ended then.
    """
    kubeconfig = site_dir(site.name) / "kubeconfig"
    with hold_cluster(kubeconfig, found.where, run.id, lambda: end_processes_of(run.id)):
        yield look_at_guest(site, None)


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
    cluster = Cluster(kubeconfig)
    releases = tuple(
        ReleaseState(
            name=r.name, namespace=r.namespace, revision=r.revision, status=r.status, inputs=r.inputs
        )
        for r in cluster.releases()
        if r.inputs
    )
    ledger = known_ledger(site)
    return HostFacts(
        host=OPERATOR,
        reachable=True,
        ledger=ledger,
        drift=(*_drift(kubeconfig, ledger), *_door_drift(site, cluster, ledger)),
        nodes_ready=seen.nodes or (OPERATOR,),
        releases=releases,
    )


def _drift(kubeconfig: Path, ledger: Ledger | None) -> tuple[str, ...]:
    """Return what became of the objects that a step made, as the probe of hosts says it."""
    objects = RawObjects.of_kubeconfig(kubeconfig, OPERATOR)
    return tuple(
        f"{name}: {sentence}"
        for name, step in (ledger.steps if ledger else {}).items()
        for sentence in object_drift(objects, {key: made.digest for key, made in step.objects.items()})
    )


def _door_drift(site: Site, cluster: Cluster, ledger: Ledger | None) -> tuple[str, ...]:
    """Return that the Service is gone by which the gateway is offered outside, where there was one."""
    step, kind = ledger.steps.get(RELEASE) if ledger else None, site.cluster.offers_gateway_by
    was = step is not None and step.inputs.get("variable:service_type") == digest_of(kind)
    if not was or kind == "ClusterIP" or door_of(cluster):
        return ()
    return (f"{RELEASE}: service {GATEWAY_OUTSIDE} in {GATEWAY_NAMESPACE} is gone",)
