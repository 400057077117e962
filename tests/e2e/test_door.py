"""The front door: names under the domain lead to components and teams, all else to the gateway."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import pytest

from tests.e2e.checkout import Checkout, checked_out
from tests.name_server import AAAA, NOERROR, REFUSED, A, ask
from tests.patience import PATIENCE, eventually

pytestmark = [pytest.mark.lab, pytest.mark.journey]
ADDRESS, DOMAIN = "10.97.96.11", "door.example"
SHOP = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: shop, namespace: shop, labels: {app: shop}}
spec:
  automountServiceAccountToken: false
  containers:
    - name: shop
      image: IMAGE
      command: [python3, -m, http.server, "8000", --directory, /opt/aiplat]
      readinessProbe: {tcpSocket: {port: 8000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec:
  selector: {app: shop}
  ports: [{port: 80, targetPort: 8000}]
"""
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: NAME, namespace: shop}
spec:
  ingressClassName: aiplat
  rules:
    - host: HOST
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}]}
"""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A lab host, and a copy of the checkout whose Prometheus lets everybody in at its route."""
    open_to_all = {"charts/platform/prometheus/component.yaml": ("optional: true", "signIn: own")}
    with checked_out("door", tmp_path_factory, open_to_all) as ward:
        yield ward


@pytest.fixture(scope="module")
def first(ward: Checkout) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return ward.bootstrap()


def asked(ward: Checkout, name: str, path: str) -> tuple[int, str]:
    """Return status and body of what the server's port answers under a name, or under its address."""
    trusted = ward.state / "aiplat" / "sites" / ward.name / "ca.crt"
    with socket.create_connection((ADDRESS, 443), timeout=PATIENCE) as plain:
        context = ssl.create_default_context(cafile=trusted)
        with context.wrap_socket(plain, server_hostname=name) as tls:
            tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            answer = HTTPResponse(tls)
            answer.begin()
            return answer.status, answer.read().decode()


def apply(ward: Checkout, manifest: str, expect: int = 0) -> str:
    """Let kubectl apply a manifest and return what it said."""
    return ward.on_host(f"k3s kubectl apply -f - 2>&1 <<'EOF'\n{manifest}\nEOF", expect=expect)


def test_the_bare_address_and_its_own_name_are_the_gateways(ward: Checkout, first: dict[str, Any]) -> None:
    """Its key counts there as before, and it answers for itself who has none."""
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    with ward.platform() as client:
        assert client.get("models").json()["object"] == "list"
    for name in (ADDRESS, DOMAIN, f"api.{DOMAIN}"):
        status, said = asked(ward, name, "/v1/models")
        assert (status, json.loads(said)["error"]["code"]) == (401, "invalid_api_key"), name


def test_a_route_leads_to_its_component(ward: Checkout, first: dict[str, Any]) -> None:
    """Under the certificate of the site's CA."""
    assert asked(ward, f"metrics.{DOMAIN}", "/-/ready") == (200, "Prometheus Server is Ready.\n")


def test_the_servers_answer_for_the_names(ward: Checkout, first: dict[str, Any]) -> None:
    """Port 53 has the server's address for every name of the domain, and refuses what is not the site's."""
    assert ask(ADDRESS, 53, f"metrics.{DOMAIN}", A) == (NOERROR, [ADDRESS])
    assert ask(ADDRESS, 53, f"metrics.{DOMAIN}", AAAA) == (NOERROR, [])
    assert ask(ADDRESS, 53, "example.org", A) == (REFUSED, [])


def test_a_name_that_nobody_has_is_not_found(ward: Checkout, first: dict[str, Any]) -> None:
    """It is neither the gateway's nor anybody's."""
    assert asked(ward, f"nobody.{DOMAIN}", "/v1/models")[0] == 404


def test_a_team_has_names_of_its_own(ward: Checkout, first: dict[str, Any]) -> None:
    """An Ingress object is enough; names of others, of the platform and certificates are refused."""
    apply(ward, SHOP.replace("IMAGE", ward.image("aiplat")))
    apply(ward, INGRESS.replace("NAME", "shop").replace("HOST", f"shop.{DOMAIN}"))
    assert eventually(lambda: asked(ward, f"shop.{DOMAIN}", "/")[0] == 200)
    assert "lib/" in asked(ward, f"shop.{DOMAIN}", "/")[1]
    for host, why in {
        f"metrics.{DOMAIN}": "these names are the platform's",
        "shop.example.org": "every rule needs a host",
        f"*.{DOMAIN}": "every rule needs a host",
    }.items():
        assert why in apply(ward, INGRESS.replace("NAME", "other").replace("HOST", f'"{host}"'), expect=1)
    bare = INGRESS.replace("NAME", "other").replace("HOST", f"other.{DOMAIN}")
    assert "leave tls.secretName out" in apply(ward, f"{bare}  tls: [{{secretName: own}}]", expect=1)


def test_a_second_run_changes_nothing(ward: Checkout, first: dict[str, Any]) -> None:
    """What teams made is nobody's drift."""
    assert ward.bootstrap()["changed"] == 0


def test_without_the_ingress_the_gateway_has_the_port_again(ward: Checkout, first: dict[str, Any]) -> None:
    """The port is free before the gateway asks for it, and names lead to the gateway."""
    text = (ward.root / "charts/platform/prometheus/component.yaml").read_text()
    (ward.root / "charts/platform/prometheus/component.yaml").write_text(
        text.replace("signIn: own", "optional: true")
    )
    site = ward.site_file.read_text().replace("ingress: {state: on", "ingress: {state: off")
    ward.site_file.write_text(site)
    done = ward.bootstrap()
    assert [c["sentence"] for c in done["checks"] if c["result"] == "FAIL"] == []
    assert asked(ward, f"metrics.{DOMAIN}", "/v1/models")[0] == 401
    left = ward.on_host("k3s kubectl get ingressclass,clusterrole -o name")
    assert "ingress" not in left


def test_a_reset_leaves_nothing(ward: Checkout, first: dict[str, Any]) -> None:
    """Nothing listens on the port, and no folder of Kubernetes or the platform is there."""
    ward.aiplat("reset", str(ward.site_file), "--yes")
    looked_at = "ls -d /etc/rancher /var/lib/rancher /var/lib/aiplat /var/lib/kubelet 2>/dev/null; ss -Htln"
    left = ward.on_host(f"{looked_at}; true").splitlines()
    assert [line for line in left if line.startswith("/") or ":443 " in line] == []
