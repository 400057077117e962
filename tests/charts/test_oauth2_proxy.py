"""oauth2-proxy as its chart starts it: whom it believes, how it reaches the issuer, what a browser keeps."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from aiplat.vault.generated import generate
from tests.charts.conftest import VALUES, Document, Helm, documents

COMPANY = {
    "issuer": "https://id.example.com:8443/realms/x",
    "issuerHost": "id.example.com",
    "ingressAddress": "",
    "proxy": "http://proxy.example.com:3128",
    "groupsClaim": "roles",
}


def pod(text: str) -> Any:
    """Return what helm makes of the pods."""
    (found,) = (d for d in documents(text) if d["kind"] == "Deployment")
    return found["spec"]["template"]["spec"]


def arguments(text: str) -> list[str]:
    """Return what the program is started with."""
    (container,) = pod(text)["containers"]
    return list(container["args"])


def made(helm: Helm, chart: Path, tmp_path: Path, **values: Any) -> str:
    """Return what helm makes of the release with these values."""
    own = tmp_path / "values.json"
    own.write_text(json.dumps(values))
    given = ("-f", VALUES / "values-oauth2-proxy.yaml", "-f", own)
    done = helm("template", "oauth2-proxy", chart, "-n", "aiplat-access", *given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_believes_headers_of_pods_alone(rendered: dict[str, str]) -> None:
    """Who asks says for which host; the network policies let nobody ask but the ingress."""
    found = arguments(rendered["oauth2-proxy"])
    assert "--reverse-proxy" in found
    assert [a for a in found if a.startswith("--trusted-proxy-ip=")] == ["--trusted-proxy-ip=10.42.0.0/16"]
    policy: Document = next(d for d in documents(rendered["oauth2-proxy"]) if d["kind"] == "NetworkPolicy")
    assert (policy["spec"]["ingress"], policy["spec"]["egress"]) == ([], [])


def test_a_session_belongs_to_one_host(rendered: dict[str, str]) -> None:
    """Browsers keep `__Host-` cookies to the host; no token is in it, and it ends by itself."""
    found = arguments(rendered["oauth2-proxy"])
    assert {"--cookie-name=__Host-aiplat", "--cookie-secure", "--session-cookie-minimal"} <= {*found}
    assert "--cookie-expire=1h" in found
    assert not [a for a in found if a.startswith(("--cookie-domain", "--redirect-url", "--pass-"))]


def test_the_sites_own_issuer_is_reached_by_the_ingress(rendered: dict[str, str]) -> None:
    """By its name, which no name server has to know."""
    spec = pod(rendered["oauth2-proxy"])
    assert spec["hostAliases"] == [{"ip": "10.43.0.12", "hostnames": ["login.ward-3.internal"]}]
    assert "HTTPS_PROXY" not in {e["name"] for e in spec["containers"][0]["env"]}


def test_the_companys_issuer_is_outside(helm: Helm, charts: dict[str, Path], tmp_path: Path) -> None:
    """Where names lead, or behind the company's proxy; its claim of groups counts."""
    text = made(helm, charts["oauth2-proxy"], tmp_path, **COMPANY)
    spec = pod(text)
    assert "hostAliases" not in spec
    assert {"name": "HTTPS_PROXY", "value": COMPANY["proxy"]} in spec["containers"][0]["env"]
    back = "--whitelist-domain=id.example.com:8443"
    assert {f"--oidc-issuer-url={COMPANY['issuer']}", "--oidc-groups-claim=roles", back} <= {*arguments(text)}


def test_the_cookies_key_is_as_long_as_aes_wants() -> None:
    """The program takes 16, 24 or 32 bytes, as base64url, and ends at anything else."""
    password = generate("password").entries["password"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", password)


def test_pods_that_ask_outside_may(helm: Helm, charts: dict[str, Path], tmp_path: Path) -> None:
    """At the issuer's port and nowhere inside; names are asked for too."""
    own = tmp_path / "values.json"
    asker = {"namespace": "aiplat-access", "component": "oauth2-proxy", "port": 443}
    networks = ["10.42.0.0/16", "fd42::/56", "10.43.0.0/16"]
    own.write_text(json.dumps({"outsideAskers": [asker], "clusterNetworks": networks}))
    given = ("-f", VALUES / "values-policies.yaml", "-f", own)
    done = helm("template", "policies", charts["policies"], "-n", "aiplat-platform", *given)
    assert done.returncode == 0, done.stderr
    found = {d["metadata"]["name"]: d for d in documents(done.stdout)}
    names, outside = found["oauth2-proxy-to-outside"]["spec"]["egress"]
    assert {p["port"] for p in names["ports"]} == {53}
    assert outside["ports"] == [{"protocol": "TCP", "port": 443}]
    assert outside["to"] == [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.42.0.0/16", "10.43.0.0/16"]}},
        {"ipBlock": {"cidr": "::/0", "except": ["fd42::/56"]}},
    ]
