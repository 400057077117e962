"""By what the API server knows people of the sign-in, and what of it makes it start again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiplat.plan.authentication import people
from aiplat.plan.inputs import START, step_inputs
from aiplat.plan.role_variables import K3sServer
from aiplat.plan.variables import k3s_variables
from tests.catalog.test_needs import site
from tests.k3s.test_rendered import lock_of
from tests.plan.test_sign_in import DOMAIN, ISSUER, ON, with_company


def test_kubectl_signs_in_as_a_client_without_a_secret() -> None:
    """Tokens of clients of components are not taken; the host finds the issuer without a name server."""
    known = people(site(), ON, "PEM")
    (authenticator,) = json.loads(known.config)["jwt"]
    assert authenticator["issuer"]["audiences"] == ["tools-cli"]
    assert authenticator["issuer"]["url"] == f"https://login.{DOMAIN}"
    assert authenticator["issuer"]["certificateAuthority"] == "PEM"
    assert (known.issuer_host, known.issuer_address[-3:]) == (f"login.{DOMAIN}", ".12")


def test_without_such_a_client_nobody_is_known() -> None:
    """And the API server is started as it was before there was a sign-in."""
    assert people(site(), [c for c in ON if c.name != "tools"], "PEM").config == ""
    assert people(site(), [c for c in ON if c.name != ISSUER.name], "PEM").config == ""


def test_another_authority_does_not_start_the_api_server_again() -> None:
    """It reads the file again; only a sign-in that comes or goes is an argument of its own."""
    of_site = site()
    host, lock = of_site.servers[0], lock_of()
    plain = k3s_variables(of_site, host, lock)
    assert isinstance(plain, K3sServer)

    def inputs(**changes: Any) -> dict[str, str]:
        return step_inputs(plain.model_copy(update=changes), lock, {}, host)

    known = {"knows_people": True, "authentication": "one", "issuer_host": "login.x", "issuer_address": "a"}
    before, after = inputs(**known), inputs(**{**known, "authentication": "two"})
    assert before["variable:authentication"] != after["variable:authentication"]
    assert before[START] == after[START] != inputs()[START]


def test_the_companys_own_ca_vouches_for_its_issuer(tmp_path: Path) -> None:
    """The API server judges by it alone; where the site names none, by what its host trusts."""
    ca = tmp_path / "company.pem"
    ca.write_text("COMPANY PEM")
    on = [c for c in ON if c.name != ISSUER.name]
    told = people(with_company(cliClientId="tools", ca=str(ca)), on, "SITE PEM")
    (authenticator,) = json.loads(told.config)["jwt"]
    assert authenticator["issuer"]["audiences"] == ["tools"]
    assert authenticator["issuer"]["certificateAuthority"] == "COMPANY PEM"
    assert (told.issuer_host, told.issuer_address) == ("", "")
    public = json.loads(people(with_company(cliClientId="tools"), on, "SITE PEM").config)
    assert "certificateAuthority" not in public["jwt"][0]["issuer"]
