"""How a node leaves: what is planned for a host that answers, one that is lost, and one the site forgot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from aiplat.actions.node import Leaving, _leaving, removal_plan, remove_node
from aiplat.errors import AiplatError, BadInput
from aiplat.plan.models import Facts, HostFacts, Ledger
from aiplat.plan.ownership import other_nodes
from aiplat.site.models import Site


def site(*names: str) -> Site:
    """Return a site whose first host is the server."""
    roles = ["server", *["agent"] * (len(names) - 1)]
    hosts = [
        {"name": n, "address": f"10.0.0.{i}", "role": r}
        for i, (n, r) in enumerate(zip(names, roles, strict=True), 11)
    ]
    return Site.model_validate(
        {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "t", "hosts": hosts}
    )


def facts(*nodes: str, **reachable: bool) -> Facts:
    """Return the facts of a server that knows some nodes, and of hosts that answer or do not."""
    server = HostFacts(host="s1", reachable=True, nodes=nodes)
    ledger = Ledger(site="t", steps={})
    others = [HostFacts(host=n, reachable=up, ledger=ledger if up else None) for n, up in reachable.items()]
    return Facts(hosts=(server, *others))


def steps(where: Site, seen: Facts, name: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the steps by which a node leaves, with their hosts."""
    return [(step.id, step.hosts) for step in removal_plan(where, seen, _leaving(where, seen, name)).steps]


def test_a_host_that_answers_is_drained_cleared_and_forgotten() -> None:
    """In this order: its pods end in peace, and it does not join again before it is cleared."""
    assert steps(site("s1", "a1"), facts("s1", "a1", a1=True), "a1") == [
        ("node_drain", ("s1",)),
        ("host_reset", ("a1",)),
        ("node_forget", ("s1",)),
    ]


@pytest.mark.parametrize(
    ("where", "seen"),
    [(site("s1", "a1"), facts("s1", "a1", a1=False)), (site("s1"), facts("s1", "a1"))],
    ids=["lost", "no longer named"],
)
def test_a_host_that_is_gone_is_only_forgotten(where: Site, seen: Facts) -> None:
    """Nobody waits for pods that cannot end, and nothing is tried on the host."""
    assert steps(where, seen, "a1") == [("node_drain", ("s1",)), ("node_forget", ("s1",))]
    assert _leaving(where, seen, "a1").is_gone


def test_a_removal_that_was_cut_off_goes_on() -> None:
    """The cluster forgot the node already, its host still has something."""
    assert steps(site("s1", "a1"), facts("s1", a1=True), "a1") == [("host_reset", ("a1",))]
    cleared = Leaving("a1", HostFacts(host="a1", reachable=True))
    assert removal_plan(site("s1", "a1"), facts("s1"), cleared).nothing_to_do


def test_a_name_that_is_none_is_a_slip() -> None:
    """Neither the cluster nor the site has it."""
    with pytest.raises(BadInput, match="is not a node of the cluster; known: a1, s1"):
        _leaving(site("s1", "a1"), facts("s1", "a1", a1=True), "a9")


@pytest.mark.parametrize(("name", "said"), [("s1", "is the server"), ("zz", "is not a node of the cluster")])
def test_what_cannot_leave_is_said_before_any_host_is_asked(state: Path, name: str, said: str) -> None:
    """The server holds the cluster, and what nobody knows is a slip: no run is begun for them."""
    events: list[object] = []
    watcher = SimpleNamespace(on_event=events.append, on_lab=events.append, agree=events.append)
    with pytest.raises(BadInput, match=said):
        remove_node(site("s1", "a1"), name, watcher)  # type: ignore[arg-type] - it is never told anything
    assert events == []


def test_a_silent_server_is_a_failure(state: Path) -> None:
    """As a silent host is for every other verb."""
    silent = Facts(hosts=(HostFacts(host="s1", reachable=False, problem="s1: does not answer"),))
    with pytest.raises(AiplatError, match="s1: does not answer") as raised:
        _leaving(site("s1", "a1"), silent, "a1")
    assert raised.value.exit_code == 1


def test_nodes_that_are_no_hosts_are_refused_by_name() -> None:
    """A host that was taken out of the file or renamed there is still a node: the way out is named."""
    (finding,) = other_nodes(site("s1", "b1"), facts("s1", "a1", b1=True))
    assert (finding.problem, "aiplat node remove a1" in finding.fix) == (
        "a1 is a node of the cluster and no host of the site",
        True,
    )
    assert list(other_nodes(site("s1", "a1"), facts("s1", "a1", a1=True))) == []
