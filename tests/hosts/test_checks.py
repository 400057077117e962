"""Every check of hosts finds its prepared defect, names a fix, and is silent about a host that is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.hosts.check import CHECKS, HostNeeds, SeenHost
from aiplat.hosts.facts import HostLook
from aiplat.hosts.judge import Trouble, Verdict, judge
from aiplat.hosts.paths import SYSTEM_DATA
from tests.hosts.worlds import AGENT, WELL, changed

DISK = {"source": "/dev/sdb1", "size_mib": 900_000, "free_mib": 890_000}
# What a site of both address families wants of a host, and how such a host that is well differs.
BOTH = {
    "node_address": "10.0.0.11,fd00::11",
    "pod_cidr": "10.42.0.0/16,fd42::/56",
    "service_cidr": "10.43.0.0/16,fd43::/112",
}
ONE = {"node_address": "10.0.0.11"}
SIX = {
    "links": [{"name": "enp1s0", "addresses": ["10.0.0.11/24", "fd00::11/64"]}],
    "sysctls": {"net.ipv6.conf.all.disable_ipv6": "0"},
}
DEFECTS: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(Path(__file__).parent / "defects.yaml")


def two_hosts(
    server: dict[str, Any],
    agent: dict[str, Any],
    accepted: tuple[str, ...] = (),
    needs: dict[str, Any] | None = None,
    fellow: str = "10.0.0.12",
) -> tuple[Verdict, Verdict]:
    """Judge a server and an agent with these facts; the server may have troubles that are `accepted`."""
    first, second = HostLook.model_validate(server), HostLook.model_validate(agent)
    hosts = (
        SeenHost("s1", first, HostNeeds("desk", "server", **{**ONE, "accepted": accepted, **(needs or {})})),
        SeenHost("a1", second, HostNeeds("desk", "agent", fellow)),
    )
    one, other = judge(hosts)
    return one, other


def found(case: dict[str, Any]) -> tuple[Trouble, ...]:
    """Return what is said of the server with a case's defect."""
    agent = changed(changed(WELL, AGENT), case.get("fellow", {}))
    accepted = tuple(case.get("accepted", ()))
    needs = BOTH if case.get("both") else case.get("wish", {})
    data = needs.get("data", SYSTEM_DATA)
    own_disk = {} if data == SYSTEM_DATA else {"places": {data: DISK}, "data_real": data}
    well = changed(changed(WELL, own_disk), SIX if case.get("both") else {})
    server = changed(well, case.get("change", {}))
    return two_hosts(server, agent, accepted, needs, case.get("fellow_address", "10.0.0.12"))[0].troubles


def test_nothing_is_wrong_with_hosts_that_are_well() -> None:
    """Server and agent meet every check, and every check could be judged."""
    for verdict in two_hosts(WELL, changed(WELL, AGENT)):
        assert verdict.troubles == ()
        assert verdict.unseen == ()
        assert len(verdict.met) == len(CHECKS)


@pytest.mark.parametrize("case", DEFECTS, ids=lambda case: case["check"])
def test_a_prepared_defect_is_named_with_its_fix(case: dict[str, Any]) -> None:
    """The check meant, and no other but those the case names, says what was seen and what to do."""
    troubles = {trouble.check: trouble for trouble in found(case)}
    assert set(troubles) == {case["check"], *case.get("with", ())}
    trouble = troubles[case["check"]]
    assert case["says"] in trouble.cause
    assert case.get("fix", "") in trouble.fix
    assert trouble.fix
    assert str(trouble.finding).startswith("s1: ")


def test_every_check_has_a_prepared_defect() -> None:
    """A check that nothing could make fail would prove nothing."""
    assert {case["check"] for case in DEFECTS} == {check.name for check in CHECKS}
    assert len(CHECKS) == len({check.name for check in CHECKS})


def test_every_check_says_what_must_be_so() -> None:
    """Its sentence stands in the reference."""
    assert [check.name for check in CHECKS if not check.wants.endswith(".")] == []


def test_a_host_that_cannot_be_reached_is_not_judged_further() -> None:
    """Of what was not seen nothing is said, neither good nor bad."""
    verdict, _ = two_hosts({"problem": "does not answer", "fix": "see that it is on"}, changed(WELL, AGENT))
    assert [trouble.check for trouble in verdict.troubles] == ["reachable"]
    assert len(verdict.unseen) > 100


def test_what_was_not_seen_is_no_trouble_and_not_called_well() -> None:
    """A fact that is missing makes a check silent, and the verdict says which."""
    verdict, _ = two_hosts(changed(WELL, {"synchronised": None, "clock_off": None}), changed(WELL, AGENT))
    assert verdict.troubles == ()
    assert {"clock", "clock-exact", "clock-kept"} <= set(verdict.unseen)


def test_hosts_that_run_aiplat_are_not_told_of_its_own_traces() -> None:
    """Ports in use and links of pods are what is to be there once the site is installed."""
    ours = {
        "owner": "desk",
        "ports": {"6443/tcp": "k3s-server"},
        "leftover_chains": 90,
        "traces": ["/var/lib/rancher/k3s", "/var/lib/kubelet"],
        "links": [*WELL["links"], {"name": "cni0", "addresses": ["10.42.0.1/24"]}, {"name": "flannel.1"}],
        "routes": [*WELL["routes"], {"to": "10.42.0.0/24", "link": "cni0"}],
    }
    assert two_hosts(changed(WELL, ours), changed(WELL, AGENT))[0].troubles == ()


def test_an_agent_needs_less_than_a_server() -> None:
    """One processor and 2 GB of memory do for an agent; the server's ports are not its own."""
    small = {"cpus": 1, "memory_mib": 2000, "available_mib": 1800, "ports": {"443/tcp": "nginx"}}
    assert two_hosts(WELL, changed(changed(WELL, AGENT), small))[1].troubles == ()


def test_what_a_site_accepts_is_a_note() -> None:
    """Whoever knows better writes so into the site file; that a host is not reached cannot be accepted."""
    verdict, _ = two_hosts(changed(WELL, {"cgroup_version": 1}), changed(WELL, AGENT), ("cgroup-version",))
    assert [(t.check, t.severity) for t in verdict.troubles] == [("cgroup-version", "note")]
    assert verdict.good
    silent, _ = two_hosts({"problem": "does not answer"}, changed(WELL, AGENT), ("reachable",))
    assert silent.troubles[0].severity == "blocker"


def test_packages_that_are_brought_are_not_missed() -> None:
    """Where the site names the system, they come with everything else; where not, that is the first fix."""
    change = {"os_id": "rocky", "os_version": "9.5", "selinux": "enforcing", "traces": ["/usr/share/selinux"]}
    look = HostLook.model_validate(changed(WELL, change))
    brought = frozenset({"container-selinux", "k3s-selinux"})
    for packages, names in ((frozenset[str](), {"selinux-policy", "selinux-k3s"}), (brought, set[str]())):
        seen = SeenHost("s1", look, HostNeeds("desk", "server", "10.0.0.11", brought=packages))
        told = {trouble.check: trouble.fix for trouble in judge((seen,))[0].troubles}
        assert names == set(told) & {"selinux-policy", "selinux-k3s"}
        assert all("write `os: rocky-9` for s1 in site.yaml" in told[name] for name in names)
