"""A host of both address families: pods, Services and the gateway answer over both, a reset leaves 0."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from aiplat.site.load import load_site
from tests.e2e.journey import Journey
from tests.e2e.kernel import left
from tests.patience import PATIENCE, until

pytestmark = [pytest.mark.lab, pytest.mark.journey]
HOST = "t-dual-s1"
BOTH = ["10.97.52.11", "fd97:52::11"]
ASKED = "k3s kubectl -n asker exec asker --"


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """One host with an address of each family and nothing of aiplat on it."""
    return make_journey("dual-stack")


@pytest.fixture(scope="module")
def before(ward: Journey) -> dict[str, str]:
    """What its kernel had before anything was installed, its addresses no longer being tried."""
    until(lambda: "tentative" not in ward.on_host("ip -6 address"))
    return left(ward, HOST)


@pytest.fixture(scope="module")
def first(ward: Journey, before: dict[str, str]) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return ward.bootstrap()


def seen(journey: Journey, what: str, path: str) -> list[str]:
    """Return the words that kubectl prints of a part of something in the cluster."""
    return journey.on_host(f"k3s kubectl get {what} -o jsonpath='{path}'").split()


def families(addresses: list[str]) -> list[bool]:
    """Say of each address or network whether it is IPv6."""
    return [":" in address for address in addresses]


def test_nodes_pods_and_services_have_both(ward: Journey, first: dict[str, Any]) -> None:
    """The node's addresses are the site's; its pods, the gateway's and the DNS' Service have one of each."""
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    told = '{.status.addresses[?(@.type=="InternalIP")].address}'
    assert seen(ward, f"node {HOST}", told) == BOTH
    assert families(seen(ward, f"node {HOST}", "{.spec.podCIDRs[*]}")) == [False, True]
    gateway = "-n aiplat-access service gateway"
    for what in ("-n kube-system service kube-dns", gateway):
        assert families(seen(ward, what, "{.spec.clusterIPs[*]}")) == [False, True]
    pods = "-n aiplat-access pods -l app.kubernetes.io/name=gateway"
    assert families(seen(ward, pods, "{.items[0].status.podIPs[*].ip}")) == [False, True]


@pytest.mark.parametrize("address", BOTH)
def test_the_gateway_answers_over_both(ward: Journey, first: dict[str, Any], address: str) -> None:
    """By the host's port, with a certificate that speaks for the address."""
    env = ward.environment()
    trust = ssl.create_default_context(cafile=env["SSL_CERT_FILE"])
    url = f"https://[{address}]/v1/models" if ":" in address else f"https://{address}/v1/models"
    key = {"Authorization": f"Bearer {env['OPENAI_API_KEY']}"}
    answer = httpx.get(url, headers=key, verify=trust, timeout=PATIENCE)
    assert [model["id"].partition("-")[0] for model in answer.json()["data"]] == ["gemma3:270m"]


def test_pods_ask_over_both(ward: Journey, first: dict[str, Any]) -> None:
    """A pod looks a name up at either address of the DNS, and gets to either one of the gateway's Service."""
    container = {
        "name": "main",
        "image": ward.image("mirrored-library-busybox"),
        "command": ["sleep", "100000"],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asker", "namespace": "asker"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "asker"}}
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [namespace, pod]})
    ward.on_host(f"k3s kubectl apply -f - <<'END'\n{text}\nEND")
    ward.on_host("k3s kubectl -n asker wait --for=condition=Ready pod/asker --timeout=120s")
    assert families(seen(ward, "-n asker pod asker", "{.status.podIPs[*].ip}")) == [False, True]
    for address in seen(ward, "-n kube-system service kube-dns", "{.spec.clusterIPs[*]}"):
        said = ward.on_host(f"{ASKED} nslookup gateway.aiplat-access.svc.cluster.local. {address}")
        for own in seen(ward, "-n aiplat-access service gateway", "{.spec.clusterIPs[*]}"):
            assert own in said
    for address in seen(ward, "-n aiplat-access service gateway", "{.spec.clusterIPs[*]}"):
        ward.on_host(f"{ASKED} nc -w 10 {address} 443 </dev/null")
    ward.on_host("k3s kubectl delete namespace asker --timeout=120s")


def test_a_second_run_changes_nothing(ward: Journey, first: dict[str, Any]) -> None:
    """Both addresses are what the host has on record."""
    assert ward.bootstrap()["changed"] == 0


def test_one_family_is_refused_while_it_runs(ward: Journey, first: dict[str, Any], tmp_path: Any) -> None:
    """A cluster keeps its families; the words say what to do."""
    text = ward.site_file.read_text()
    for six in (",fd42::/56", ",fd43::/112", ",fd97:52::11"):
        text = text.replace(six, "")
    other = tmp_path / "site.yaml"
    other.write_text(text)
    assert load_site(other).cluster.pod_networks == ("10.42.0.0/16",)
    document = json.loads(ward.aiplat("plan", str(other), "--json", expect=2).stdout)
    refused = [finding["problem"] for finding in document["refusals"]]
    assert any("is 10.42.0.0/16 now, and the cluster of t-dual-s1 began with another" in p for p in refused)


def test_a_reset_leaves_the_kernel_as_it_was(
    ward: Journey, before: dict[str, str], first: dict[str, Any]
) -> None:
    """Rules, sets, links, addresses and routes of both families are gone, and forwarding is as it was."""
    assert "flannel-v6.1" in ward.on_host("ip -o link")
    assert "KUBE-" in left(ward, HOST)["filters"]
    ward.aiplat("reset", str(ward.site_file), "--yes", "--json")
    now = left(ward, HOST)
    assert {kind: now[kind].splitlines() for kind in before} == {k: before[k].splitlines() for k in before}
