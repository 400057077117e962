"""The plan for an existing cluster: what it lacks, what is brought to its nodes, what is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from platform import machine

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.catalog import Catalog
from aiplat.cluster.look import SeenCluster
from aiplat.content import digest_of
from aiplat.errors import Finding
from aiplat.frozen import Frozen
from aiplat.hosts.paths import paths_of
from aiplat.plan.cluster_needs import judge_cluster
from aiplat.plan.inputs import identity, step_inputs
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import Facts, HostFacts, Plan, Step
from aiplat.plan.packages import content_digest
from aiplat.plan.reasons import reason_for
from aiplat.plan.releases import namespaces_of, releases_of, served_weights
from aiplat.plan.role_variables import PlaneRelease
from aiplat.plan.steps import step_kind
from aiplat.plan.variables import PublicParts
from aiplat.site.models import Host, Site
from aiplat.site.systems import arch_of
from aiplat.state import ledger_file

PUSH = "push"
RELEASE = "plane_release"
# Where this machine keeps what; it is not part of what is wanted in the cluster.
_PLACES = ("variable:paths", "variable:programs", "variable:scratch")


class GuestFacts(Frozen):
    """What was seen before a run: the cluster, what is recorded here, and what the nodes' source lacks.

    `there` is what hosts' facts are elsewhere: the ledger, and the releases in the cluster. `absent` are
    digests of images and models that nodes cannot get yet; `problem` is why that could not be seen.
    `other_run` says who else changes the cluster now, `address` is what a load balancer gave the gateway.
    """

    seen: SeenCluster
    there: HostFacts
    absent: tuple[str, ...] = ()
    problem: str = ""
    other_run: str = ""
    address: str = ""

    @property
    def where(self) -> str:
        """The cluster as findings name it."""
        return f"cluster {self.seen.server}"

    @property
    def facts(self) -> Facts:
        """The facts as plans of hosts have them."""
        return Facts(hosts=(self.there,))


def this_machine() -> Host:
    """Return the machine that aiplat runs on, as a host: Helm runs there."""
    return Host(name=OPERATOR, address="127.0.0.1", role="server", arch=arch_of(machine()) or "amd64")


def brought(lock: Lock) -> tuple[Artifact, ...]:
    """Return what nodes pull: images and models; charts are used here."""
    return tuple(a for a in lock.artifacts if a.kind in ("image", "model"))


def used_here(lock: Lock) -> tuple[Artifact, ...]:
    """Return what is used on this machine: Helm, kubectl, charts."""
    return tuple(a for a in lock.artifacts if a.kind in ("hostfile", "chart"))


@dataclass(frozen=True)
class Places:
    """Where this machine keeps the programs, the bundle's content, and what goes with the run."""

    programs: str = ""
    blobs: str = ""
    scratch: str = ""


def guest_variables(
    site: Site, lock: Lock, catalog: Catalog, public: PublicParts, places: Places
) -> PlaneRelease:
    """Return what the role is given, which installs from this machine."""
    arch = this_machine().arch
    return PlaneRelease(
        paths=paths_of(None).model_copy(update={"blobs": places.blobs}),
        programs=places.programs,
        scratch=places.scratch,
        helm=content_digest(lock.hostfile("helm", arch)),
        kubectl=content_digest(lock.hostfile("k3s", arch)),
        service_type=site.cluster.offers_gateway_by,
        namespaces=namespaces_of(site, catalog),
        releases=releases_of(site, lock, catalog, public.identities),
        models=served_weights(site, lock, catalog),
    )


def guest_plan(site: Site, lock: Lock, found: GuestFacts, public: PublicParts, catalog: Catalog) -> Plan:
    """Return the steps that bring the platform into the cluster as it was seen."""
    variables = guest_variables(site, lock, catalog, public, Places())
    inputs = _inputs(variables, lock, public.identities)
    reason = reason_for(variables, inputs, found.there, (), public.rotations)
    moved = [artifact for artifact in brought(lock) if artifact.digest in found.absent]
    if reason and site.cluster.offers_gateway_by != "ClusterIP":
        reason = f"{reason}; the gateway's Service is of type {site.cluster.offers_gateway_by}"
    release = Step(
        id=RELEASE,
        title=step_kind(RELEASE).title,
        hosts=(OPERATOR,),
        reason={OPERATOR: reason},
        inputs={OPERATOR: inputs},
    )
    steps = [*_push(site, lock, moved), *([release] if reason else [])]
    based_on = {
        "site": digest_of(site.model_dump(mode="json", by_alias=True)),
        "lock": digest_of(lock.model_dump(mode="json", by_alias=True)),
        "facts": digest_of(_steady(found)),
    }
    steps = [*_bundle(lock, moved), *steps] if steps else []
    return Plan(site=site.name, verb="bootstrap", steps=tuple(steps), based_on=based_on)


def guest_refusals(site: Site, found: GuestFacts) -> list[Finding]:
    """Return why the platform may not be installed into the cluster."""
    mine = found.there.ledger is not None
    findings = [
        *other_cluster(site, found),
        *(
            Finding(found.where, need.cause, need.fix)
            for need in judge_cluster(found.seen)
            if need.result == "missing" and not (mine and need.name == "free")
        ),
    ]
    if found.problem:
        findings.append(_source_unseen(site, found.problem))
    return findings


def _source_unseen(site: Site, problem: str) -> Finding:
    """Return that the registry, or the nodes themselves, did not say what nodes lack."""
    if site.cluster.load:
        fix = "run aiplat on the machine that made it, as who may use its engine; or name a `registry:`"
        return Finding(f"nodes of the {site.cluster.load} cluster", problem, fix)
    fix = "see that it answers, and who you are there: `docker login` or `podman login`"
    return Finding(f"registry {site.cluster.registry}", problem, fix)


def other_cluster(site: Site, found: GuestFacts) -> list[Finding]:
    """Return why this is not the cluster that the site was installed in; empty where it is, or none was."""
    was = found.there.ledger.cluster if found.there.ledger else ""
    if was in ("", found.seen.identity):
        return []
    if not found.seen.identity:
        problem = f"it cannot be told whether {site.name} is in this one: its namespaces may not be listed"
        return [Finding(found.where, problem, "ask as an administrator")]
    fix = f"name that one's kubeconfig; if it is gone for good, remove {ledger_file(site.name)}"
    return [Finding(found.where, f"{site.name} was installed in another cluster than this one", fix)]


def guest_warnings(found: GuestFacts) -> list[Finding]:
    """Return what could not be seen of the cluster and may be in the way, and who else is at work there."""
    unknown = (need for need in judge_cluster(found.seen) if need.result == "unknown")
    others = [Finding(found.where, found.other_run, "wait until it ends")] if found.other_run else []
    return [*others, *(Finding(found.where, need.cause, need.fix) for need in unknown)]


def _inputs(variables: PlaneRelease, lock: Lock, identities: Mapping[str, str]) -> dict[str, str]:
    inputs = step_inputs(variables, lock, identities, this_machine())
    inputs["artifact:kubectl"] = identity(lock.hostfile("k3s", this_machine().arch))
    return {name: value for name, value in sorted(inputs.items()) if name not in _PLACES}


def _bundle(lock: Lock, moved: list[Artifact]) -> list[Step]:
    unmade = sum(not artifact.digest for artifact in lock.artifacts)
    size = sum(a.size for a in (*moved, *used_here(lock)))
    are = "is" if unmade == 1 else "are"
    reason = (
        f"{unmade} of {len(lock.artifacts)} artifacts {are} not made yet"
        if unmade
        else f"what is used is hashed first, {size / 2**20:.0f} MiB"
    )
    return [Step(id="bundle", title=step_kind("bundle").title, hosts=(OPERATOR,), reason={OPERATOR: reason})]


def _push(site: Site, lock: Lock, moved: list[Artifact]) -> list[Step]:
    unmade = [artifact for artifact in brought(lock) if not artifact.digest]
    said = [f"{len(moved)} not there yet"] if moved else []
    said += [f"{len(unmade)} to be made first"] if unmade else []
    if not said:
        return []
    to = site.cluster.registry or f"the nodes of the {site.cluster.load} cluster"
    return [
        Step(
            id=PUSH,
            title=f"Bring images and models to {to}",
            hosts=(OPERATOR,),
            reason={OPERATOR: f"images and models: {', '.join(said)}"},
            bytes_to_move=sum(artifact.size for artifact in moved),
        )
    ]


def _steady(found: GuestFacts) -> dict[str, object]:
    """Return the facts without what others change: a plan for the same world is the same plan."""
    document: dict[str, object] = found.model_dump(
        mode="json", exclude={"seen": {"daemons", "namespaces", "ours"}, "other_run": True}
    )
    return document
