"""What k3s does on hosts less simple than a lab's: two cards, a reset and a new start."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiplat.lab import egress_report, lab_status
from aiplat.site.load import load_site
from tests.e2e.journey import Journey
from tests.patience import until

pytestmark = [pytest.mark.lab, pytest.mark.journey]
SERVER, AGENT = "t-rows-s1", "t-rows-a1"
OTHER_CARD = (
    "ip link add other0 type veth peer name other1 && ip link set other1 up"
    " && ip address add 192.0.2.{n}/24 dev other0 && ip link set other0 up"
    " && ip route replace default via 192.0.2.1 dev other0"
)
GROUPS = "systemctl list-units --all --plain --no-legend 'kubepods*'; find /sys/fs/cgroup -name 'kubepods*'"
SETTINGS = (
    "sysctl -n net.ipv4.conf.all.route_localnet net.netfilter.nf_conntrack_max"
    " net.netfilter.nf_conntrack_tcp_timeout_established 2>/dev/null"
)


def filters(journey: Journey, host: str) -> str:
    """Return a host's packet filter as this machine's nft sees it: the host has no nft before and after."""
    nspawn = next(h.pid for h in lab_status(journey.name).hosts if h.name == host)
    inside = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()[0]
    command = ["nsenter", "--net", "--target", inside, "nft", "list", "ruleset"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def left(journey: Journey, host: str) -> dict[str, str]:
    """Return what a bootstrap could leave in a host's kernel."""
    return {
        "filters": filters(journey, host),
        "links": journey.on_host("ip -o link | awk -F': ' '{print $2}' | sort", host),
        "groups": journey.on_host(f"{{ {GROUPS}; }} || true", host),
        "mounts": journey.on_host("grep -E 'kubelet|k3s|cni' /proc/mounts || true", host),
        "settings": journey.on_host(f"{SETTINGS} || true", host),
        "folders": journey.on_host(
            "ls -d /usr/libexec/kubernetes /run/nri /run/flannel 2>/dev/null || true", host
        ),
    }


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """Two hosts with a second network card, by which their default route goes."""
    journey = make_journey("k3s-rows")
    for number, host in enumerate((SERVER, AGENT), start=11):
        journey.on_host(OTHER_CARD.format(n=number), host)
    return journey


@pytest.fixture(scope="module")
def before(ward: Journey) -> dict[str, dict[str, str]]:
    """What the hosts' kernels had before anything was installed."""
    return {host: left(ward, host) for host in (SERVER, AGENT)}


@pytest.fixture(scope="module")
def first(ward: Journey, before: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return ward.bootstrap()


def test_the_pod_network_goes_by_the_hosts_own_addresses(ward: Journey, first: dict[str, Any]) -> None:
    """Although the default route leaves by another card: pods reach each other, every check is green."""
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    path = r"{range .items[*]}{.metadata.annotations.flannel\.alpha\.coreos\.com/public-ip}{'\n'}{end}"
    seen = ward.on_host(f'k3s kubectl get nodes -o jsonpath="{path}"').split()
    assert sorted(seen) == [host.address for host in load_site(ward.site_file).hosts]


def test_a_running_replica_looks_names_up(ward: Journey, first: dict[str, Any]) -> None:
    """CoreDNS has a ready replica when the server's step is done."""
    status = "jsonpath={.status.readyReplicas}"
    assert int(ward.on_host(f"k3s kubectl get deployment coredns -n kube-system -o {status}")) >= 1


def test_nobody_outside_is_asked_for_names(ward: Journey, first: dict[str, Any]) -> None:
    """A lab leads nowhere, and what pods ask for outside names is not told otherwise."""
    report = egress_report(ward.name)
    assert report.packets == 0, report.attempts


def test_settings_of_the_site_reach_kubernetes(ward: Journey, first: dict[str, Any]) -> None:
    """The kubelet's argument, the audit log and Pod Security by default are in force."""
    allowed = "k3s kubectl get node t-rows-a1 -o jsonpath={.status.allocatable.pods}"
    assert ward.on_host(allowed) == "90"
    assert until(lambda: ward.on_host("wc -l < /var/lib/rancher/k3s/server/logs/audit.log").strip() != "0")
    ward.on_host("k3s kubectl create namespace strict")
    refused = ward.on_host(
        "k3s kubectl run -n strict bad --image=x --overrides="
        """'{"spec":{"hostNetwork":true}}' --dry-run=server 2>&1 || true"""
    )
    assert 'violates PodSecurity "baseline' in refused
    ward.on_host("k3s kubectl delete namespace strict")


def test_a_reset_leaves_the_kernel_as_it_was(
    ward: Journey, before: dict[str, dict[str, str]], first: dict[str, Any]
) -> None:
    """Rules, sets, links, slices, mounts and settings are those of before; what was found is told."""
    summary = ward.lines("reset", str(ward.site_file), "--yes", "--json")[-1]
    assert left(ward, SERVER) == before[SERVER]
    found = json.dumps(summary["notes"])
    assert "CNI-HOSTPORT-DNAT" in found
    assert "ipsets of policies: KUBE-" in found or "inet6:KUBE-" in found
    assert "kubepods.slice" in found


def test_the_next_bootstrap_meets_no_stale_rule(ward: Journey, first: dict[str, Any]) -> None:
    """The gateway's clients reach the new pod, and the second run after that changes nothing."""
    summary = ward.bootstrap()
    assert [c["sentence"] for c in summary["checks"] if c["result"] == "FAIL"] == []
    assert ward.bootstrap()["changed"] == 0
