"""People sign in to the site by name: the first by a link, others by command, programs by code and PKCE."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.checkout import Checkout, checked_out
from tests.e2e.company import company
from tests.e2e.journey import SITES
from tests.e2e.visitor import VERIFIER, Visitor, verified, within
from tests.patience import PATIENCE, eventually

pytestmark = [pytest.mark.lab, pytest.mark.journey]
ADDRESS, DOMAIN = "10.97.106.11", "ward.example"
ISSUER = f"https://login.{DOMAIN}"
PASSWORD = "correct horse battery"
SITE = (SITES / "sign-in.yaml").read_text()
# Only the copy's: what a component says that has pages of its own, and a program of the command line.
CLIENTS = """\
needs:
  oidcClients:
    - {name: trial, redirectPaths: [/trial], logoutPaths: [/out]}
    - {name: trial-cli, redirectPaths: [/back], hosts: loopback, public: true}
"""
PAGES = f"https://metrics.{DOMAIN}"
BACK, CLI_BACK = f"{ISSUER}/trial", "http://127.0.0.1:8400/back"


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A lab host, and a copy of the checkout in which the sign-in has clients."""
    clients = {"charts/access/canaille/component.yaml": ("\nneeds:\n", f"\n{CLIENTS}")}
    with checked_out("sign-in", tmp_path_factory, clients) as ward:
        yield ward


@pytest.fixture(scope="module")
def link(ward: Checkout) -> str:
    """The link that the first bootstrap ends with."""
    return ward.first_link(ISSUER)


@pytest.fixture(scope="module")
def admin(ward: Checkout, link: str) -> Visitor:
    """The first admin's browser, after the link."""
    browser = visitor(ward)
    assert browser.post(link, password=PASSWORD, confirmation=PASSWORD).is_redirect
    return browser


def visitor(ward: Checkout) -> Visitor:
    """Return a browser that trusts the site's CA."""
    return Visitor(ADDRESS, str(ward.state / "aiplat" / "sites" / ward.name / "ca.crt"))


def users(ward: Checkout, verb: str, *words: str, expect: int = 0) -> Any:
    """Ask `aiplat users` and return the document that it ends with."""
    return json.loads(ward.aiplat("users", verb, *words, str(ward.site_file), "--json", expect=expect).stdout)


def client(ward: Checkout, name: str) -> dict[str, str]:
    """Return the Secret that a client's pods get."""
    told = ward.on_host(f"k3s kubectl -n aiplat-access get secret canaille-{name}-oidc -o json")
    return {k: base64.b64decode(v).decode() for k, v in json.loads(told)["data"].items()}


def exchanged(ward: Checkout, code: str, known: dict[str, str], back: str) -> httpx.Response:
    """Turn a code into tokens, as a client's own side does."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": VERIFIER}
    pair = f"{known['client_id']}:{known.get('client_secret', '')}".encode()
    headers = (
        {"Authorization": f"Basic {base64.b64encode(pair).decode()}"} if "client_secret" in known else {}
    )
    form |= {} if headers else {"client_id": known["client_id"]}
    return visitor(ward).ask("POST", f"{ISSUER}/oauth/token", data=form, headers=headers)


def claims_of(ward: Checkout, token: str) -> dict[str, Any]:
    """Return a token's claims, verified by the keys that the issuer shows."""
    return verified(token, visitor(ward).get(f"{ISSUER}/oauth/jwks.json").json()["keys"])


def test_the_first_admin_signs_in_by_the_link(ward: Checkout, link: str, admin: Visitor) -> None:
    """It serves once; the password it set counts from then on; nothing of it is in the journal."""
    assert admin.get(f"{ISSUER}/users").status_code == 200
    again = visitor(ward).get(link)
    assert again.is_redirect
    assert again.headers["location"] == "/"
    assert visitor(ward).signed_in(ISSUER, "admin", PASSWORD)
    token = link.rpartition("/")[2]
    written = [p for p in ward.state.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]
    assert written == []


def test_a_program_gets_who_somebody_is(ward: Checkout, admin: Visitor) -> None:
    """By code and PKCE, with its secret of the Secret; the id_token is for it and says the groups."""
    known = client(ward, "trial")
    assert known["issuer"] == ISSUER
    given = exchanged(ward, admin.code(ISSUER, known["client_id"], BACK), known, BACK).json()
    for claims in (claims_of(ward, given["id_token"]), claims_of(ward, given["access_token"])):
        assert (claims["iss"], claims["aud"]) == (ISSUER, ["canaille-trial"])
        assert (claims["preferred_username"], claims["groups"]) == ("admin", ["admin"])
        assert claims["exp"] - claims["iat"] == 8 * 3600
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    assert visitor(ward).get(f"{ISSUER}/oauth/userinfo", headers=bearer).json()["groups"] == ["admin"]


def test_a_program_of_the_command_line_needs_no_secret(ward: Checkout, admin: Visitor) -> None:
    """It listens on its own machine, and PKCE says that it is the one that asked."""
    known = client(ward, "trial-cli")
    assert "client_secret" not in known
    code = admin.code(ISSUER, known["client_id"], CLI_BACK)
    assert claims_of(ward, exchanged(ward, code, known, CLI_BACK).json()["id_token"])["groups"] == ["admin"]


def test_people_are_added_and_removed_by_command(ward: Checkout, admin: Visitor) -> None:
    """Each signs in by a link, may do what the groups say, and is out when removed."""
    ada = users(ward, "add", "ada", "--group", "member", "--group", "operator")
    browser = visitor(ward)
    assert browser.post(ada["link"], password=PASSWORD, confirmation=PASSWORD).is_redirect
    assert browser.get(f"{ISSUER}/users").status_code == 403
    known = client(ward, "trial")
    given = exchanged(ward, browser.code(ISSUER, known["client_id"], BACK), known, BACK).json()
    assert sorted(claims_of(ward, given["id_token"])["groups"]) == ["member", "operator"]
    assert users(ward, "groups", "ada", "--group", "member")["groups"] == ["member"]
    shown = {one["name"]: one["state"] for one in users(ward, "list")["people"]}
    assert shown == {"admin": "active", "ada": "active"}
    (refused,) = users(ward, "add", "ada", "--group", "member", expect=2)["findings"]
    assert (refused["where"], refused["problem"]) == ("user ada", "is there already")
    users(ward, "remove", "ada")
    assert not visitor(ward).signed_in(ISSUER, "ada", PASSWORD)
    assert browser.code(ISSUER, known["client_id"], BACK) == ""
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    assert visitor(ward).get(f"{ISSUER}/oauth/userinfo", headers=bearer).status_code == 401


def test_guessing_is_slowed(ward: Checkout, admin: Visitor) -> None:
    """Wrong passwords make the account wait, twice as long each time: further ones are not looked at."""
    eve = users(ward, "add", "eve", "--group", "member")
    visitor(ward).post(eve["link"], password=PASSWORD, confirmation=PASSWORD)
    eventually(lambda: "Too much attempts" in visitor(ward).given(ISSUER, "eve", "wrong password").text)
    log = ward.on_host("k3s kubectl -n aiplat-access logs deploy/canaille")
    assert "Failed password authentication for eve" in log


def test_sign_out_ends_the_session(ward: Checkout, admin: Visitor) -> None:
    """The browser is led back to the program; the next request for a code asks for a password."""
    browser, known = visitor(ward), client(ward, "trial")
    assert browser.signed_in(ISSUER, "admin", PASSWORD)
    given = exchanged(ward, browser.code(ISSUER, known["client_id"], BACK), known, BACK).json()
    out = {
        "client_id": known["client_id"],
        "id_token_hint": given["id_token"],
        "post_logout_redirect_uri": f"{ISSUER}/out",
        "state": "x",
    }
    ended = browser.get(f"{ISSUER}/oauth/end_session?{httpx.QueryParams(out)}")
    assert ended.headers["location"] == f"{ISSUER}/out?state=x"
    assert browser.code(ISSUER, known["client_id"], BACK) == ""


def entered(browser: Visitor, page: str, ca: str = "") -> httpx.Response:
    """Return what somebody sees who asks for a page and goes wherever that leads; `ca`: the company's."""
    at, answer = page, browser.get(page)
    for _ in range(10):
        if not answer.is_redirect:
            return answer
        at = within(at, answer)
        if f"//{ADDRESS}:" in at:
            answer = httpx.get(at, verify=ssl.create_default_context(cadata=ca), timeout=PATIENCE)
        else:
            answer = browser.get(at)
    raise AssertionError(f"{page} leads nowhere: {at}")


def test_a_page_that_signs_nobody_in_is_behind_the_sign_in(ward: Checkout, admin: Visitor) -> None:
    """Strangers are asked who they are, admins see it, members are refused."""
    assert 'name="login"' in entered(visitor(ward), f"{PAGES}/graph").text
    mia = users(ward, "add", "mia", "--group", "member")
    member = visitor(ward)
    member.post(mia["link"], password=PASSWORD, confirmation=PASSWORD)
    assert entered(member, f"{PAGES}/graph").status_code == 403
    assert entered(admin, f"{PAGES}/graph").status_code == 200
    told = admin.get(f"{PAGES}/api/v1/query?query=up")
    assert told.json()["status"] == "success"


def test_leaving_a_page_ends_its_session(ward: Checkout, admin: Visitor) -> None:
    """The cookie is gone, and the next request is asked about again; one made up counts for nothing."""
    assert entered(admin, f"{PAGES}/-/healthy").status_code == 200
    admin.get(f"{PAGES}/oauth2/sign_out")
    assert admin.get(f"{PAGES}/-/healthy").headers["location"].startswith(f"{ISSUER}/oauth/authorize?")
    made_up = {"Cookie": "__Host-aiplat=x|1|y", "X-Auth-Request-User": "admin"}
    assert visitor(ward).get(f"{PAGES}/-/healthy", headers=made_up).is_redirect
    program = {"Accept": "application/json"}
    assert visitor(ward).get(f"{PAGES}/-/healthy", headers=program).status_code == 401


@pytest.mark.parametrize(
    ("asked", "landed"),
    [
        ("/graph?g0.expr=up%2F2&g0.tab=1", "/graph?g0.expr=up%2F2&g0.tab=1"),
        ("/x?next=https://elsewhere.example/", "/"),
        ("/oauth2/start?rd=https://elsewhere.example/", "/"),
        ("/oauth2/start?rd=//elsewhere.example/", "/"),
        ("/oauth2/start?rd=/%5Celsewhere.example/", "/"),
    ],
)
def test_after_signing_in_people_land_on_the_page_that_they_asked_for(
    ward: Checkout, admin: Visitor, asked: str, landed: str
) -> None:
    """On this host alone, whatever a link or a header says."""
    admin.get(f"{PAGES}/oauth2/sign_out")
    elsewhere = {"X-Auth-Request-Redirect": "https://elsewhere.example/", "X-Forwarded-Uri": "/elsewhere"}
    answer = admin.get(f"{PAGES}{asked}", headers=elsewhere)
    for at in (ISSUER, PAGES):
        answer = admin.get(within(at, answer))
    led = httpx.URL(within(PAGES, answer))
    assert (led.host, str(led).removeprefix(PAGES).split("?allowed_groups")[0]) == (
        httpx.URL(PAGES).host,
        landed,
    )


def test_a_second_run_changes_nothing(ward: Checkout, admin: Visitor) -> None:
    """All checks hold; nobody gets another link."""
    done = ward.bootstrap()
    assert [c["sentence"] for c in done["checks"] if c["result"] == "FAIL"] == []
    assert done["changed"] == 0


def test_two_replicas_serve_the_same_people(ward: Checkout, admin: Visitor) -> None:
    """A session that one of them opened counts at the other; both start on one schema."""
    ward.site_file.write_text(
        SITE.replace("canaille: {state: on}", "canaille: {state: on, values: {replicas: 2}}")
    )
    done = ward.bootstrap()
    assert [c["sentence"] for c in done["checks"] if c["result"] == "FAIL"] == []
    asked = [admin.get(f"{ISSUER}/users").status_code for _ in range(8)]
    assert asked == [200] * 8


def test_people_of_the_company_enter(ward: Checkout, admin: Visitor) -> None:
    """Another provider in place of the site's, told what `aiplat sign-in` prints; its groups count."""
    there = company(ADDRESS)
    (ward.root / "company-ca.pem").write_text(there.authority.crt)
    settings = {
        "issuer": there.issuer,
        "clientId": there.client,
        "clientSecret": {"fromSecret": "sign-in"},
        "ca": "company-ca.pem",
        "groupsClaim": "roles",
        "groups": {"admin": ["AI admins"], "member": ["Staff"]},
    }
    without = SITE.replace("    canaille: {state: on}\n", "")
    ward.site_file.write_text(f"{without}signIn: {json.dumps(settings)}\n")
    ward.aiplat("secret", "set", "sign-in", str(ward.site_file), given=there.secret)
    told = json.loads(ward.aiplat("sign-in", str(ward.site_file), "--json").stdout)
    registered = {client["id"]: client["redirectUris"] for client in told["clients"]}
    there.starts(ward, registered, ["Staff", "AI admins"])
    done = ward.bootstrap()
    assert [c["sentence"] for c in done["checks"] if c["result"] == "FAIL"] == []
    page, crt = f"{PAGES}/-/healthy", there.authority.crt
    # The kubelet brings the ingress the changed groups within two minutes.
    assert eventually(lambda: entered(visitor(ward), page, crt).status_code == 200)
    there.starts(ward, registered, ["Staff"])
    assert entered(visitor(ward), page, crt).status_code == 403


def test_a_reset_leaves_nothing(ward: Checkout, admin: Visitor) -> None:
    """No folder of Kubernetes or the platform is there."""
    ward.aiplat("reset", str(ward.site_file), "--yes")
    looked_at = "ls -d /etc/rancher /var/lib/rancher /var/lib/aiplat /var/lib/kubelet 2>/dev/null; true"
    assert ward.on_host(looked_at).splitlines() == []
