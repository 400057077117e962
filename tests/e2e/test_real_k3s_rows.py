"""What k3s does on hosts less simple than a lab's: two cards, a reinstalled node, a reset and a new start.

Where k3s behaves otherwise than one would think, and the test that holds aiplat to it
(files are below tests/):

| k3s | test |
|---|---|
| asks for images of its own tags, release by release | k3s/test_images.py |
| has iptables in its data folder alone | test_a_reset_leaves_the_kernel_as_it_was, roles/test_reset.py |
| lets a stale host port come before the new one | test_the_next_bootstrap_meets_no_stale_rule |
| puts pods into transient slices of systemd | test_a_reset_leaves_the_kernel_as_it_was, roles/test_reset.py |
| leaves ipsets behind | test_a_reset_leaves_the_kernel_as_it_was, roles/test_reset.py |
| takes the default route's card for the pod network | test_the_pod_network_goes_by_the_hosts_own_addresses |
| needs no default route if flannel is told its card | plan/cases/host_without_default_route_is_fine.yaml |
| turns a node away that lost its password | test_a_host_installed_anew_is_turned_away_and_then_joins |
| calls CoreDNS available with no replica | test_names_are_looked_up_when_the_server_is_done |
| puts a policy into force some time after a pod began | test_a_policy_holds_a_while_after_the_pod_began |
| lets pods reach node ports past their policies | test_node_ports_pass_policies_by_and_verify_says_so |
| has CoreDNS ask the host's name servers | test_nobody_outside_is_asked_for_names |
| leaves a data folder at each upgrade | e2e/test_k3s_upgrade.py, roles/test_upgrade.py |
| leaves folders, tables and settings after a reset | test_a_reset_leaves_the_kernel_as_it_was |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any, get_args

import pytest

from aiplat.errors import EXIT_CHECK_FAILED
from aiplat.k3s.arguments import Program, arguments_of
from aiplat.lab import egress_report
from aiplat.site.load import load_site
from tests.e2e.journey import Journey
from tests.e2e.kernel import left
from tests.patience import until

pytestmark = [pytest.mark.lab, pytest.mark.journey]
SERVER, AGENT = "t-rows-s1", "t-rows-a1"
OTHER_CARD = (
    "ip link add other0 type veth peer name other1 && ip link set other1 up"
    " && ip address add 192.0.2.{n}/24 dev other0 && ip link set other0 up"
    " && ip route replace default via 192.0.2.1 dev other0"
)


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


def pod(journey: Journey, name: str, command: str) -> dict[str, Any]:
    """Return a pod on the agent, in a namespace of its own name."""
    container = {"name": "main", "image": journey.image("mirrored-library-busybox")}
    spec = {"nodeName": AGENT, "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": name},
        "spec": spec | {"containers": [container | {"command": ["sh", "-c", command]}]},
    }


def apply(journey: Journey, name: str, *documents: dict[str, Any]) -> None:
    """Make a namespace and what is in it."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [namespace, *documents]})
    journey.on_host(f"k3s kubectl apply -f - <<'END'\n{text}\nEND")


@pytest.fixture(scope="module")
def closed(ward: Journey, first: dict[str, Any]) -> Journey:
    """A pod that no policy allows anything, which tries the API's port from its first moment on."""
    server = load_site(ward.site_file).hosts[0].address
    nothing = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "nothing", "namespace": "closed"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress", "Ingress"]},
    }
    attempt = f"nc -w 2 {server} 6443 </dev/null >/dev/null 2>&1 && echo open || echo shut"
    apply(ward, "closed", nothing, pod(ward, "closed", f"while :; do {attempt}; sleep 0.1; done"))
    return ward


def test_names_are_looked_up_when_the_server_is_done(ward: Journey, first: dict[str, Any]) -> None:
    """CoreDNS has a ready replica and answers for the cluster's own names; one from outside is an error."""
    status = "jsonpath={.status.readyReplicas}"
    assert int(ward.on_host(f"k3s kubectl get deployment coredns -n kube-system -o {status}")) >= 1
    apply(ward, "asker", pod(ward, "asker", "sleep 100000"))
    ward.on_host("k3s kubectl -n asker wait --for=condition=Ready pod/asker --timeout=120s")
    look = "k3s kubectl -n asker exec asker -- nslookup"
    service = ward.on_host("k3s kubectl get service kubernetes -o jsonpath={.spec.clusterIP}")
    assert service in ward.on_host(f"{look} kubernetes.default.svc.cluster.local.")
    ward.on_host(f"{look} www.example.com.", expect=1)
    ward.on_host("k3s kubectl delete namespace asker --timeout=120s")


def test_arguments_are_those_that_the_programs_know(ward: Journey, first: dict[str, Any]) -> None:
    """What a plan lets through or refuses is what kubelet and API server of this k3s say themselves."""
    for program in get_args(Program):
        listed = ward.on_host(f"k3s internal {program} --help")
        told = set(re.findall(r"^ +(?:-\w, )?--([a-z0-9-]+)", listed, re.MULTILINE))
        assert told - {"help", "version"} == arguments_of(program)


def test_a_policy_holds_a_while_after_the_pod_began(closed: Journey) -> None:
    """At its first moments the pod may get through, as documented; then never again."""
    tried = "k3s kubectl -n closed logs closed --tail=-1"
    assert until(lambda: closed.on_host(f"{tried} || true").split()[-20:] == ["shut"] * 20)
    seen = "".join("o" if word == "open" else "s" for word in closed.on_host(tried).split())
    # From where it was shut once, it is never open again.
    assert "o" not in seen.lstrip("o"), seen


def test_node_ports_pass_policies_by_and_verify_says_so(closed: Journey) -> None:
    """The same pod reaches a node port of its host, and no other port; a Service of that kind is a FAIL."""
    address = load_site(closed.site_file).hosts[1].address
    listen = "systemd-run --quiet --unit=t-port-{port} python3 -m http.server {port} --directory /run/t-empty"
    reach = f"k3s kubectl -n closed exec closed -- wget -q -T 5 -O - http://{address}:"
    closed.on_host("mkdir -p /run/t-empty", AGENT)
    try:
        for port in (31999, 8099):
            closed.on_host(listen.format(port=port), AGENT)
            until(lambda port=port: closed.on_host(f"ss -Hltn 'sport = :{port}'", AGENT))
        assert "Directory listing" in closed.on_host(f"{reach}31999")
        closed.on_host(f"{reach}8099", expect=1)
    finally:
        closed.on_host("systemctl stop t-port-31999 t-port-8099; rmdir /run/t-empty", AGENT)
    name = "k3s kubectl -n aiplat-access {verb} service {kind} t-open"
    closed.on_host(name.format(verb="create", kind="nodeport") + " --tcp=80:80")
    try:
        checks = closed.document("verify", expect=EXIT_CHECK_FAILED)["results"]
        failed = [c["sentence"] for c in checks if c["result"] == "FAIL"]
        assert failed == ["No Service opens a port of the hosts past the policies."]
    finally:
        closed.on_host(name.format(verb="delete", kind=""))


def test_nobody_outside_is_asked_for_names(ward: Journey, first: dict[str, Any]) -> None:
    """A lab leads nowhere, and CoreDNS, which looks for a loop when it starts, is not told otherwise."""
    corefile = "k3s kubectl get configmap coredns -n kube-system -o jsonpath={.data.Corefile}"
    assert "loop" in ward.on_host(corefile).split()
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


def test_a_host_installed_anew_is_turned_away_and_then_joins(ward: Journey, first: dict[str, Any]) -> None:
    """It has another password than its node: the plan says so, and the bootstrap has the node forgotten."""
    load = "import json; path = '/var/lib/aiplat/ledger.json'; ledger = json.load(open(path))"
    forget = f"{load}; del ledger['steps']['k3s_agent']; json.dump(ledger, open(path, 'w'))"
    ward.on_host("systemctl stop k3s-agent && rm /etc/rancher/node/password", AGENT)
    ward.on_host(f'python3 -c "{forget}"', AGENT)
    known = "k3s kubectl get node t-rows-a1 -o jsonpath={.metadata.uid}"
    before = ward.on_host(known)
    steps = {step["id"]: step for step in ward.document("plan")["steps"]}
    assert (
        "the cluster has a node of this name from before, which is deleted first"
        in steps["k3s_agent"]["reason"][AGENT]
    )
    ward.on_host("systemctl start --no-block k3s-agent", AGENT)
    rejected = "journalctl --unit k3s-agent --boot --no-pager | grep -c 'Node password rejected' || true"
    until(lambda: ward.on_host(rejected, AGENT).strip() != "0")
    summary = ward.bootstrap()
    assert [c["sentence"] for c in summary["checks"] if c["result"] == "FAIL"] == []
    assert ward.on_host(known) != before
    network = ip_network(ward.on_host(f"k3s kubectl get node {AGENT} -o jsonpath={{.spec.podCIDR}}"))
    pods = f"k3s kubectl get pods -A --field-selector spec.nodeName={AGENT}"
    addresses = ward.on_host(f"{pods} -o jsonpath='{{.items[*].status.podIP}}'").split()
    assert addresses
    assert [address for address in addresses if ip_address(address) not in network] == []


def test_a_reset_leaves_the_kernel_as_it_was(
    ward: Journey, before: dict[str, dict[str, str]], first: dict[str, Any]
) -> None:
    """Rules, sets, links, slices, mounts and settings are those of before; what was found is reported."""
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
