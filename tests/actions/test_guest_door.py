"""How a site in somebody's cluster is reached from outside, by the address that a load balancer gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from aiplat.actions import bootstrap_guest
from aiplat.actions.bootstrap_guest import NO_ADDRESS, _with_door
from aiplat.actions.env import environment, lacks_tunnel
from aiplat.actions.guest_look import _door_drift
from aiplat.actions.status import status
from aiplat.cluster.client import Cluster
from aiplat.content import digest_of
from aiplat.fleet.guest_way import wait_for_address
from aiplat.plan.models import Ledger, LedgerStep
from aiplat.runs.run import Run, running
from aiplat.site.given_address import keep_address
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import ensure_secrets
from aiplat.verify.check import Failed
from aiplat.verify.context import CheckContext
from aiplat.verify.core import no_ports_past_the_policies
from tests.cluster.kube import Kube, service

ADDRESS = "192.0.2.7"


def asks_for(kind: str, **more: str) -> Site:
    """A site whose cluster offers the gateway so."""
    cluster = {"existing": "/kubeconfig", "registry": "registry.example/aiplat", "serviceType": kind, **more}
    said = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "t-guest", "supply": "packages"}
    return Site.model_validate(said | {"cluster": cluster})


@pytest.fixture
def kube() -> Iterator[Kube]:
    """The cluster of a site that was bootstrapped from here."""
    ensure_secrets(asks_for("ClusterIP"), lab=True)
    with Kube() as server:
        server.write_kubeconfig(site_dir("t-guest") / "kubeconfig")
        yield server


def door(address: str = "") -> dict[str, Any]:
    """The Service for outside, with the address that it was given."""
    made = service("gateway-outside", "aiplat-access", {"app.kubernetes.io/name": "gateway-outside"}, 443)
    made["spec"]["ports"] = [{"port": 443, "nodePort": 30443}]
    made["status"] = {"loadBalancer": {"ingress": [{"ip": address}]} if address else {}}
    return made


@pytest.mark.parametrize("named", [{"ip": ADDRESS}, {"hostname": "lb.example"}])
def test_an_address_is_waited_for(kube: Kube, named: dict[str, str]) -> None:
    """A number, or the name that some load balancers give."""
    cluster = Cluster.of_site("t-guest")
    assert wait_for_address(cluster, 0) == ""
    kube.lists["services"] = [door()]
    assert wait_for_address(cluster, 0) == ""
    kube.lists["services"][0]["status"]["loadBalancer"] = {"ingress": [named]}
    assert wait_for_address(cluster, 60) in named.values()


def test_where_no_address_comes_the_run_says_so_and_ends_well(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The site is reached by the tunnel as before."""
    monkeypatch.setattr(bootstrap_guest, "DOOR_SECONDS", 0)
    kube.lists["services"] = [door()]
    site = asks_for("LoadBalancer")
    with running("t-guest", "bootstrap", lambda _event: None) as run:
        assert _with_door(run, site) is site
    assert run.notes == [NO_ADDRESS]
    assert lacks_tunnel(site)


@pytest.mark.parametrize("site", [asks_for("NodePort"), asks_for("LoadBalancer", endpoint="ai.example")])
def test_who_names_an_endpoint_or_wants_node_ports_waits_for_nobody(site: Site) -> None:
    """The cluster is not even asked."""
    assert _with_door(cast("Run", None), site) is site


def test_the_address_is_in_the_environment_and_needs_no_tunnel(kube: Kube) -> None:
    """Once it is kept."""
    site = keep_address(asks_for("LoadBalancer"), ADDRESS)
    assert environment(site)["OPENAI_BASE_URL"] == f"https://{ADDRESS}/v1"
    assert not lacks_tunnel(site)
    assert ADDRESS in ensure_secrets(site, lab=True).gateway.names


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ([], "the gateway has no Service of type LoadBalancer; run `aiplat bootstrap`"),
        ([door()], "no load balancer gave the Service gateway-outside an address yet; use `aiplat tunnel`"),
        ([door("192.0.2.9")], "the load balancer gave the gateway the address 192.0.2.9; run `aiplat boot"),
        ([door(ADDRESS)], ""),
    ],
)
def test_status_says_what_is_wrong_with_the_door(
    kube: Kube, services: list[dict[str, Any]], said: str
) -> None:
    """Gone, without an address, with another one than the site has; or nothing."""
    kube.lists["services"] = services
    found = status(keep_address(asks_for("LoadBalancer"), ADDRESS))
    about = [line for line in found.attention if "gateway-outside" in line or "the gateway " in line]
    assert [line.startswith(said) for line in about] == [True] * bool(said)
    assert found.url == f"https://{ADDRESS}/v1"


def test_a_door_that_somebody_removed_is_drift(kube: Kube) -> None:
    """Only where there was one: a site that has just asked for it lacks nothing yet."""
    cluster, gone = (
        Cluster.of_site("t-guest"),
        "plane_release: service gateway-outside in aiplat-access is gone",
    )

    def drift(wanted: str, was: str) -> tuple[str, ...]:
        step = LedgerStep(inputs={"variable:service_type": digest_of(was)})
        return _door_drift(asks_for(wanted), cluster, Ledger(site="t", steps={"plane_release": step}))

    assert drift("NodePort", "NodePort") == (gone,)
    assert [drift("NodePort", "ClusterIP"), drift("ClusterIP", "ClusterIP")] == [(), ()]
    kube.lists["services"] = [door()]
    assert drift("NodePort", "NodePort") == ()


def test_only_a_door_that_the_site_asks_for_may_open_ports(kube: Kube) -> None:
    """Every other Service with a port on nodes passes network policies by."""
    kube.lists["services"] = [door()]
    assert no_ports_past_the_policies(CheckContext(asks_for("NodePort"))) == "0 Services"
    with pytest.raises(Failed, match="aiplat-access/gateway-outside opens 30443"):
        no_ports_past_the_policies(CheckContext(asks_for("ClusterIP")))
