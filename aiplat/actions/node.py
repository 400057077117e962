"""`aiplat node remove`: a host leaves the cluster and is what it was before; showing it is aiplat.cli's."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiplat.actions.bootstrap import Watcher
from aiplat.actions.ending import end_of_removal, tell
from aiplat.actions.known_lock import known_lock
from aiplat.actions.plan import PlanView
from aiplat.actions.reported_run import reported_run
from aiplat.actions.reset import leftovers
from aiplat.actions.summary import Summary
from aiplat.cluster.client import Cluster
from aiplat.content import digest_of
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.fleet.probe import gather_facts
from aiplat.fleet.tunnel import way_to
from aiplat.hosts.paths import paths_of
from aiplat.plan.models import Facts, HostFacts, Plan, Step
from aiplat.plan.role_variables import HostReset, NodeDrain, NodeForget, RoleVariables
from aiplat.runs.playbook import play_plan
from aiplat.runs.run import Run
from aiplat.site.findings import did_you_mean
from aiplat.site.machines import see_hosts
from aiplat.site.models import Site

_TITLES = {
    "node_drain": "Take the pods off the node",
    "host_reset": "Take off what aiplat put there",
    "node_forget": "Let the cluster forget the node",
}


@dataclass(frozen=True)
class Leaving:
    """A node that is to leave; `host` is what was seen of its host, None where the site has none."""

    name: str
    host: HostFacts | None

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be done on the host itself."""
        return self.host is None or not self.host.reachable


def remove_node(site: Site, name: str, watcher: Watcher) -> Summary:
    """Take a node's pods off it, clear its host where that answers, and let the cluster forget it.

    Raises:
        BadInput: the site has no hosts; it is the server, or neither the cluster nor the site has it.
        AiplatError: the server cannot be reached.
        StepError: a step failed; the next call continues from what is there.
    """
    see_hosts(site, f"take {name} out by the tools of that cluster")
    began = time.monotonic()
    _see_name(site, name)
    with reported_run(site, "node-remove", watcher.on_event) as run:
        facts = gather_facts(site)
        leaving = _leaving(site, facts, name)
        plan = removal_plan(site, facts, leaving)
        tell(run, plan)
        view = PlanView(plan, known_lock(site, judged=False), facts, (), assumed=False)
        if plan.nothing_to_do or watcher.agree(view):
            _carry_out(run, site, plan, leaving)
        else:
            run.state = "declined"
        next_ = _what_next(site, leaving) if run.state == "done" else ()
        return end_of_removal(run, site, "node-remove", began, *next_)


def _see_name(site: Site, name: str) -> None:
    """Stop before any host is asked where no node can have that name."""
    if any(host.name == name for host in site.servers):
        fix = "`aiplat reset` takes the whole site off its hosts"
        raise BadInput(Finding(name, "is the server: without it there is no cluster", fix))
    if any(host.name == name for host in site.hosts):
        return
    # It may be a node of the cluster whose host was taken out of the site file.
    try:
        nodes = {node.name for node in Cluster.of_site(site.name, way_to(site)).nodes()}
    except BadInput:
        nodes = set()  # there is no cluster yet
    except AiplatError:
        return  # the cluster is silent: its server is asked over ssh
    names = sorted({*nodes, *(host.name for host in site.agents)})
    if name not in names:
        raise BadInput(Finding(name, "is not a node of the cluster", did_you_mean(name, names)))


def _leaving(site: Site, facts: Facts, name: str) -> Leaving:
    server = facts.host(site.servers[0].name)
    if not server.reachable:
        raise AiplatError(Finding(server.host, server.problem.removeprefix(f"{server.host}: ")))
    host = next((f for f in facts.hosts if f.host == name), None)
    names = {*server.nodes, *(h.name for h in site.agents)}
    if name not in names:
        raise BadInput(Finding(name, "is not a node of the cluster", did_you_mean(name, sorted(names))))
    return Leaving(name, host)


def removal_plan(site: Site, facts: Facts, leaving: Leaving) -> Plan:
    """Return the steps by which a node leaves: those that still have something to do."""
    server = site.servers[0].name
    steps = []
    if leaving.name in facts.host(server).nodes:
        waits = "its host does not answer: its pods are not waited for" if leaving.is_gone else "it leaves"
        steps.append(_step("node_drain", server, f"{leaving.name}: {waits}"))
    if leaving.host and leaving.host.reachable and (left := leftovers(leaving.host, ())):
        steps.append(_step("host_reset", leaving.name, left))
    if leaving.name in facts.host(server).nodes:
        steps.append(_step("node_forget", server, f"{leaving.name} is a node of the cluster"))
    based_on = {
        "site": digest_of(site.model_dump(mode="json", by_alias=True)),
        "node": digest_of(leaving.name),
    }
    return Plan(site=site.name, verb="node-remove", steps=tuple(steps), based_on=based_on)


def _step(name: str, host: str, reason: str) -> Step:
    return Step(id=name, title=_TITLES[name], hosts=(host,), reason={host: reason}, inputs={host: {}})


def _carry_out(run: Run, site: Site, plan: Plan, leaving: Leaving) -> None:
    if plan.nothing_to_do:
        return
    of_server: list[RoleVariables] = [
        NodeDrain(node=leaving.name, host_is_gone=leaving.is_gone),
        NodeForget(node=leaving.name),
    ]
    data_dir = next((host.data_dir for host in site.hosts if host.name == leaving.name), None)
    on_host: list[RoleVariables] = [HostReset(paths=paths_of(data_dir))]
    variables = {site.servers[0].name: of_server, leaving.name: on_host}
    play_plan(run, site, plan, "node_remove", variables)


def _what_next(site: Site, leaving: Leaving) -> list[str]:
    if leaving.host is None:
        return [
            f"{leaving.name}: its host is not in the site file, so what aiplat put there was not taken off"
        ]
    said = [f"take {leaving.name} out of the hosts of {site.name}: the next bootstrap would join it again"]
    if leaving.is_gone:
        said.append(f"{leaving.name} did not answer: what aiplat put there is still there")
    return said
