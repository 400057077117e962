"""`aiplat status`: what is there, plane by plane, and what needs attention; shows and changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from aiplat.actions.smoke_test import platform_url
from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.components import Component, Plane
from aiplat.catalog.lockfile import supply_in_use
from aiplat.catalog.resolve import components_on, served_models
from aiplat.cluster.objects import Node, Workload
from aiplat.errors import AiplatError, BadInput
from aiplat.fleet.disks import full_disks
from aiplat.fleet.guest_way import gateway_outside
from aiplat.fleet.tunnel import way_to
from aiplat.frozen import Frozen
from aiplat.runs.journal import RunRecord, last_run
from aiplat.site.given_address import awaits_address
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.pki import WARN_BEFORE
from aiplat.vault.rotation import pending
from aiplat.vault.store import read_secrets
from aiplat.verify.context import CheckContext

_ENGINE = "aiplat.dev/engine"

State = Literal["ok", "attention", "unknown", "empty"]


class ComponentState(Frozen):
    """One component: how it stands, in one sentence."""

    name: str
    state: State
    sentence: str


class PlaneState(Frozen):
    """A plane with its components; as bad as the worst of them."""

    name: str
    title: str
    state: State
    components: tuple[ComponentState, ...] = ()


class HostState(Frozen):
    """A host as the cluster sees it."""

    name: str
    role: str
    address: str
    state: State
    sentence: str


class ModelState(Frozen):
    """A model of the site."""

    name: str
    aliases: tuple[str, ...]
    engine: str
    state: State
    sentence: str


class Status(Frozen):
    """A site at one moment. `attention` is what somebody should do something about, worst first."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Status"] = "Status"
    site: str
    url: str
    kubernetes: str
    attention: tuple[str, ...]
    planes: tuple[PlaneState, ...]
    hosts: tuple[HostState, ...]
    models: tuple[ModelState, ...]
    vault: str
    last_run: RunRecord | None = None

    @property
    def reached(self) -> bool:
        """Whether the cluster could be asked: a version of Kubernetes was seen."""
        return bool(self.kubernetes)


def status(site: Site) -> Status:
    """Return how a site stands; what cannot be seen is `unknown`, and why is under attention."""
    context = CheckContext(site, way_to(site))
    problem = _cluster_problem(context)
    reached = not problem
    planes = tuple(_plane(plane, site, context, reached) for plane in load_catalog().planes)
    hosts = tuple(_host(context, index, reached) for index in range(len(site.hosts)))
    models = _models(site, context, reached)
    run = last_run(site.name)
    attention = [problem] if problem else []
    if problem or any(host.state == "attention" for host in hosts):
        # A full disk makes much else fail, which then says anything but that.
        attention = [*map(str, full_disks(site) or ()), *attention]
    attention += [f"{h.name}: {h.sentence}" for h in hosts if h.state == "attention"]
    attention += [f"{c.name}: {c.sentence}" for p in planes for c in p.components if c.state == "attention"]
    attention += [*_run_problems(run), *_certificate_problems(site), *_door_problems(context, reached)]
    return Status(
        site=site.name,
        url=platform_url(site),
        kubernetes=context.version if reached else "",
        attention=tuple(attention),
        planes=planes,
        hosts=hosts,
        models=models,
        vault=_vault_sentence(site),
        last_run=run,
    )


def _cluster_problem(context: CheckContext) -> str:
    try:
        _ = context.version
    except AiplatError as error:
        return str(error.findings[0])
    return ""


def _plane(plane: Plane, site: Site, context: CheckContext, reached: bool) -> PlaneState:
    on = [c for c in components_on(site) if c.plane == plane.name]
    states = tuple(_component(c, context, reached) for c in on)
    worst = next((s for s in ("attention", "unknown", "ok") if any(c.state == s for c in states)), "empty")
    return PlaneState(name=plane.name, title=plane.title, state=worst, components=states)


def _component(component: Component, context: CheckContext, reached: bool) -> ComponentState:
    if not reached:
        return ComponentState(name=component.name, state="unknown", sentence="cannot be seen")
    problem, sentence = _stands(component, context)
    return ComponentState(
        name=component.name, state="attention" if problem else "ok", sentence=problem or sentence
    )


def _stands(component: Component, context: CheckContext) -> tuple[str, str]:
    if component.engine:
        return _engine(component, context)
    return _release(component, context) if component.is_release else _on_hosts(component, context)


def _engine(component: Component, context: CheckContext) -> tuple[str, str]:
    """Return what is wrong with the pods that the operator makes of an engine, or else how many serve."""
    mine = [w for w in context.workloads if w.labels.get(_ENGINE) == component.name]
    return _broken(mine), f"{sum(w.available for w in mine)} pods serve"


def _broken(workloads: list[Workload]) -> str:
    return "; ".join(
        f"{w.name}: {w.available} of {w.wanted} available" for w in workloads if not w.is_available
    )


def _release(component: Component, context: CheckContext) -> tuple[str, str]:
    """Return what is wrong with a release, or else how it stands."""
    release = next(
        (r for r in context.releases if (r.namespace, r.name) == (component.namespace, component.name)), None
    )
    if release is None:
        return "is not installed; run `aiplat bootstrap`", ""
    if release.status != "deployed":
        return f"its release is {release.status}; run `aiplat bootstrap`", ""
    every = [w for w in context.workloads if w.labels.get("app.kubernetes.io/instance") == component.name]
    mine = [w for w in every if _ENGINE not in w.labels]
    return _broken(mine), f"revision {release.revision}{_serving(mine)}"


def _serving(workloads: list[Workload]) -> str:
    return f", {sum(w.available for w in workloads)} pods serve" if workloads else ""


def _on_hosts(component: Component, context: CheckContext) -> tuple[str, str]:
    if context.site.is_guest:
        return "", "on this machine, for this cluster"
    if component.name != "k3s":
        return "", "on the hosts; `aiplat plan` compares it, `aiplat verify` asks it"
    hosts = {host.name for host in context.site.hosts}
    ready = sum(node.ready for node in context.nodes if node.name in hosts)
    sentence = f"{ready} of {len(hosts)} nodes ready"
    others = sorted({node.name for node in context.nodes} - hosts)
    if others:
        return f"{', '.join(others)}: a node of the cluster and no host of the site", sentence
    return ("" if ready == len(hosts) else sentence), f"{context.version}, {sentence}"


def _host(context: CheckContext, index: int, reached: bool) -> HostState:
    host = context.site.hosts[index]
    state: State = "unknown"
    sentence = "cannot be seen"
    if reached:
        node = next((n for n in context.nodes if n.name == host.name), None)
        problem = _node_problem(node)
        state = "attention" if problem or node is None else "ok"
        sentence = problem if problem or node is None else f"ready, {node.version}"
    return HostState(name=host.name, role=host.role, address=host.address, state=state, sentence=sentence)


def _node_problem(node: Node | None) -> str:
    if node is None:
        return "is not a node of the cluster"
    problem = "; ".join(filter(None, (node.problem.rstrip("."), *node.pressures)))
    return f"{problem}; `aiplat doctor hosts` looks at it" if problem else ""


def _models(site: Site, context: CheckContext, reached: bool) -> tuple[ModelState, ...]:
    states = []
    for engine, model in served_models(site, supply=supply_in_use(site)):
        state, sentence = _model(context, model.name) if reached else ("unknown", "cannot be seen")
        states.append(
            ModelState(
                name=model.name, aliases=model.aliases, engine=engine.name, state=state, sentence=sentence
            )
        )
    return tuple(states)


def _model(context: CheckContext, name: str) -> tuple[State, str]:
    services = [s for s in context.services if s.annotations.get("aiplat.dev/model-name") == name]
    served = {(s.namespace, s.name) for s in services}
    workload = next((w for w in context.workloads if (w.namespace, w.name) in served), None)
    if workload is None:
        return "attention", "is not deployed; run `aiplat bootstrap`"
    counted = f"{workload.available} of {workload.wanted} available"
    return ("ok" if workload.is_available else "attention"), counted


def _door_problems(context: CheckContext, reached: bool) -> list[str]:
    """Return what is wrong with how an existing cluster offers the gateway, where the site asks for that."""
    kind = context.site.cluster.offers_gateway_by
    if not reached or kind == "ClusterIP" or not context.site.is_guest:
        return []
    door, endpoint = gateway_outside(context.services), context.site.cluster.endpoint
    if door is None:
        return [f"the gateway has no Service of type {kind}; run `aiplat bootstrap`"]
    if not awaits_address(context.site) or door.given == endpoint:
        return []
    if not door.given:
        return [
            f"no load balancer gave the Service {door.name} an address yet; use `aiplat tunnel` until then"
        ]
    return [f"the load balancer gave the gateway the address {door.given}; run `aiplat bootstrap`"]


def _run_problems(run: RunRecord | None) -> list[str]:
    if run is None or run.state in {"done", "declined", "running"}:
        return []
    again = f"run `aiplat {run.verb}` again, it resumes where it stopped"
    return [f"the last run ({run.verb}, {run.started}) was {run.state}; {again}"]


def _certificate_problems(site: Site) -> list[str]:
    try:
        secrets = read_secrets(site.name)
    except BadInput as error:
        return [str(error.findings[0])]
    if secrets is None:
        return []
    soon = datetime.now(UTC) + WARN_BEFORE
    renews = "`aiplat bootstrap` renews it"
    ends = [
        ("the gateway's certificate", secrets.gateway, renews),
        ("the registry's certificate", secrets.registry, renews),
        ("the site's CA", secrets.ca, "`aiplat vault rotate ca` makes another"),
    ]
    said = [f"{name} ends on {p.expires:%Y-%m-%d}; {fix}" for name, p, fix in ends if p.expires < soon]
    waiting = [f"{sentence}; run `aiplat bootstrap`" for sentence in pending(secrets).values()]
    return said + waiting


def _vault_sentence(site: Site) -> str:
    folder = site_dir(site.name)
    if not (folder / "vault.yml").exists():
        return "there are no secrets yet"
    if (folder / "vault-password").exists():
        return (
            f"{folder / 'vault.yml'} is encrypted, but its password lies beside it: it protects against "
            "copying that file alone, not against a reader of this account"
        )
    return f"{folder / 'vault.yml'} is encrypted; its password is not in the site's state"
