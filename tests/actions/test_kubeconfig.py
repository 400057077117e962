"""A kubeconfig that people sign in with: nothing in it is secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from aiplat.actions.kubeconfig import person_kubeconfig
from aiplat.errors import BadInput
from aiplat.site.models import Site
from aiplat.state import site_dir
from tests.plan.test_golden import SITE
from tests.plan.test_sign_in import with_company

FETCHED = {
    "clusters": [{"cluster": {"certificate-authority-data": "Q0E="}}],
    "users": [{"user": {"client-key-data": "SECRET"}}],
}


@pytest.fixture
def bootstrapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    """A site with a sign-in whose cluster is known here."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    with (site_dir(SITE.name) / "kubeconfig").open("w") as file:
        YAML().dump(FETCHED, file)
    (site_dir(SITE.name) / "ca.crt").write_text("SITE CA")
    return SITE


def test_kubectl_has_people_sign_in(bootstrapped: Site) -> None:
    """It runs `aiplat login` for the site's own client, and trusts the site's CA."""
    made = person_kubeconfig(bootstrapped)
    plugin = made["users"][0]["user"]["exec"]
    assert [plugin["command"], *plugin["args"][:6]] == [
        *("aiplat", "login", "--exec-credential"),
        *("--issuer", "https://login.ward-3.internal", "--client", "portal-cli"),
    ]
    assert plugin["args"][6:] == ["--ca-data", "U0lURSBDQQ=="]
    assert made["clusters"][0]["cluster"] == {
        "server": "https://10.0.0.11:6443",
        "certificate-authority-data": "Q0E=",
    }
    assert "SECRET" not in str(made)


def test_the_companys_ca_goes_along(bootstrapped: Site, tmp_path: Path) -> None:
    """In the kubeconfig itself, or by its place where it is too long; the scopes are the company's too."""
    ca = tmp_path / "company.pem"
    ca.write_text("COMPANY CA")
    elsewhere = with_company(cliClientId="tools", ca=str(ca))
    company = bootstrapped.model_copy(update={"sign_in": elsewhere.sign_in})

    def words() -> list[str]:
        asked = ("openid", "profile", "email")
        found = list(person_kubeconfig(company)["users"][0]["user"]["exec"]["args"][2:])
        assert found[-6:] == [word for scope in asked for word in ("--scope", scope)]
        return found[:-6]

    issuer = ["--issuer", "https://id.example.com/realms/x", "--client", "tools"]
    assert words() == [*issuer, "--ca-data", "Q09NUEFOWSBDQQ=="]
    ca.write_text("C" * 100_000)
    assert words() == [*issuer, "--ca", str(ca)]
    ca.unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        words()


def test_a_site_without_a_sign_in_says_so(bootstrapped: Site) -> None:
    """There is nobody to ask who somebody is."""
    without = bootstrapped.model_copy(update={"planes": {}})
    with pytest.raises(BadInput, match="has no sign-in for the command line"):
        person_kubeconfig(without)
