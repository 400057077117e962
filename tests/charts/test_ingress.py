"""What the ingress makes of routes: who is asked first, what nobody else may have, which certificate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes_validate.utils import validate
from ruamel.yaml import YAML

from tests.charts.conftest import VALUES, Document, Helm, documents
from tests.charts.test_charts import kubernetes_minor

PORTAL = {
    "name": "portal",
    "host": "portal.ward-3.internal",
    "component": "portal",
    "namespace": "aiplat-user-serving",
    "service": "portal",
    "port": 8000,
    "groups": ["member"],
    "allowed": ["member"],
    "forwarded": False,
    "tls": False,
}
PAGES = {
    **PORTAL,
    "name": "pages",
    "host": "pages.ward-3.internal",
    "service": "pages",
    "groups": ["admin", "operator"],
    "allowed": ["AI admins", "operator"],
    "forwarded": True,
    "tls": True,
}
SIGN_IN = {"service": "proxy", "namespace": "aiplat-access", "port": 4180}


def made(helm: Helm, chart: Path, tmp_path: Path, **values: Any) -> dict[str, Document]:
    """Return what helm makes of the release with these values, by kind and name, all of it valid."""
    own = tmp_path / "values.json"
    own.write_text(json.dumps(values))
    given = ("-f", VALUES / "values-ingress.yaml", "-f", own)
    done = helm("template", "ingress", chart, "-n", "aiplat-access", *given)
    assert done.returncode == 0, done.stderr
    found = {f"{d['kind']}/{d['metadata']['name']}": d for d in documents(done.stdout)}
    for document in found.values():
        validate(document, kubernetes_minor(), strict=True)
    return found


def dynamic(found: dict[str, Document]) -> Any:
    """Return what Traefik reads again when it changes."""
    return YAML(typ="safe").load(found["ConfigMap/ingress-dynamic"]["data"]["dynamic.yaml"])


def test_who_signs_in_elsewhere_is_asked_about_before_every_request(
    helm: Helm, charts: dict[str, Path], tmp_path: Path
) -> None:
    """With the route's groups; what a browser says of itself goes, also where nobody is asked."""
    routes = [PORTAL, PAGES]
    http = dynamic(made(helm, charts["ingress"], tmp_path, routes=routes, forwardAuth=SIGN_IN))["http"]
    assert http["routers"]["pages"]["middlewares"] == ["no_claims", "pages"]
    assert http["routers"]["portal"]["middlewares"] == ["no_claims"]
    asked = http["middlewares"]["pages"]["forwardAuth"]
    at = "http://proxy.aiplat-access.svc.cluster.local.:4180"
    assert asked["address"] == f"{at}/?allowed_groups=AI+admins%2Coperator"
    assert asked["maxResponseBodySize"] == 65536
    assert asked["trustForwardHeader"] is False, "a browser would say where it is led after the sign-in"
    dropped = set(http["middlewares"]["no_claims"]["headers"]["customRequestHeaders"])
    assert dropped == {*asked["authResponseHeaders"], "X-Auth-Request-Redirect"}
    assert http["routers"]["pages_sign_in"]["rule"].endswith("PathPrefix(`/oauth2/`)")
    assert "portal_sign_in" not in http["routers"]


def test_a_page_that_no_group_may_enter_is_closed(
    helm: Helm, charts: dict[str, Path], tmp_path: Path
) -> None:
    """The sign-in would take an empty list of groups for everybody."""
    routes = [{**PAGES, "allowed": []}]
    http = dynamic(made(helm, charts["ingress"], tmp_path, routes=routes, forwardAuth=SIGN_IN))["http"]
    assert http["middlewares"]["pages"] == {"ipAllowList": {"sourceRange": ["255.255.255.255/32"]}}
    assert http["routers"]["pages"]["middlewares"] == ["no_claims", "pages"]


def test_pods_that_speak_tls_prove_who_they_are(helm: Helm, charts: dict[str, Path], tmp_path: Path) -> None:
    """By a certificate of the site CA for the Service; others are asked in the clear."""
    routes = [PORTAL, PAGES]
    http = dynamic(made(helm, charts["ingress"], tmp_path, routes=routes, forwardAuth=SIGN_IN))["http"]
    servers = {
        name: service["loadBalancer"]["servers"][0]["url"] for name, service in http["services"].items()
    }
    assert servers["pages"] == "https://pages.aiplat-user-serving.svc.cluster.local.:8000"
    assert servers["portal"] == "http://portal.aiplat-user-serving.svc.cluster.local.:8000"
    assert http["serversTransports"]["pages"]["serverName"] == "pages.aiplat-user-serving.svc"


def test_the_names_of_the_platform_are_no_teams(helm: Helm, charts: dict[str, Path], tmp_path: Path) -> None:
    """The admission policy knows them; without teams' Ingress objects Traefik has no token at all."""
    with_teams = made(helm, charts["ingress"], tmp_path, routes=[PORTAL], teamIngresses=True)
    rules = with_teams["ValidatingAdmissionPolicy/aiplat-ingress"]["spec"]["validations"]
    assert any('["api.ward-3.internal","portal.ward-3.internal"]' in r["expression"] for r in rules)
    alone = made(helm, charts["ingress"], tmp_path, routes=[PORTAL])
    assert not [name for name in alone if "ClusterRole" in name or "Admission" in name]
    assert alone["Deployment/ingress"]["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("certificate", "secret"),
    [
        ({}, "gateway-tls"),
        (
            {
                "crt": "-----BEGIN CERTIFICATE-----\nx\n",
                "key": "-----BEGIN PRIVATE KEY-----\nx\n",
            },
            "ingress-certificate",
        ),
    ],
)
def test_the_certificate_is_the_site_cas_or_ones_own(
    helm: Helm, charts: dict[str, Path], tmp_path: Path, certificate: dict[str, str], secret: str
) -> None:
    """It is in one volume with the routes, so that Traefik notices a new one."""
    found = made(helm, charts["ingress"], tmp_path, certificate=certificate)
    volumes = found["Deployment/ingress"]["spec"]["template"]["spec"]["volumes"]
    sources = next(v for v in volumes if v["name"] == "dynamic")["projected"]["sources"]
    assert [s["secret"]["name"] for s in sources if "secret" in s] == [secret]
    assert (f"Secret/{secret}" in found) is bool(certificate)


def test_the_gateway_gets_what_is_not_under_the_domain(rendered: dict[str, str]) -> None:
    """TLS is not ended on the way; nothing is asked of a name server."""
    found = {f"{d['kind']}/{d['metadata']['name']}": d for d in documents(rendered["ingress"])}
    tcp = dynamic(found)["tcp"]
    assert tcp["routers"]["gateway"]["tls"] == {"passthrough": True}
    assert tcp["services"]["gateway"]["loadBalancer"]["servers"] == [{"address": "10.43.0.13:443"}]
    assert found["Service/ingress-gateway"]["spec"]["clusterIP"] == "10.43.0.13"
    gateway = next(d for d in documents(rendered["gateway"]) if d["kind"] == "Deployment")
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    assert [p for p in container["ports"] if "hostPort" in p] == []
