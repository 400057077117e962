"""Signing in by name: at a real issuer over HTTP, with codes, keys and tokens; what is a person's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.settings import Client, SignIn
from aiplat.services.portal.app import create_app
from aiplat.services.store.people import playground_key
from tests.services.oidc.issuer import NEXT_KEY, TestIssuer
from tests.services.portal.conftest import HOST, Browser, Site
from tests.services.portal.test_pages import SECRET

CLI = "portal-cli"
ANN = {"sub": "u-ann", "preferred_username": "ann", "groups": ["member", "ward-3"]}
ROOT = {"sub": "u-root", "preferred_username": "root", "groups": ["admin"]}


@pytest.fixture
def issuer() -> Iterator[TestIssuer]:
    """An issuer that knows where the portal is."""
    issuer = TestIssuer(redirects={"portal": (f"{HOST}/signed-in",)})
    yield issuer
    issuer.close()


@pytest.fixture
def named(site: Site, issuer: TestIssuer) -> Site:
    """A portal whose people sign in by name."""
    groups = {role: (role,) for role in ("admin", "operator", "member")}
    sign_in = SignIn.model_validate({"issuer": issuer.url, "url": HOST, "cli": CLI, "groups": groups})
    site.portal = replace(site.portal, entry=Entry.of(sign_in, Client("portal", "the client's secret")))
    site.app = create_app(site.portal)
    return site


def left_for(browser: Browser, then: str = "/") -> str:
    """Begin to sign in, and return where the issuer sends the browser back to."""
    sent = browser.get(f"/sign-in/by-name?then={then}", follow_redirects=False)
    assert sent.status_code == 303, sent.text
    back = httpx.get(sent.headers["location"])
    assert back.status_code == 302, back.text
    return back.headers["location"].removeprefix(HOST)


def came(site: Site, issuer: TestIssuer, who: dict[str, object], then: str = "/") -> Browser:
    """Return a browser in which somebody signed in."""
    issuer.who, browser = who, site.browser()
    assert browser.get(left_for(browser, then)).url.path == then
    return browser


def api(browser: Browser, method: str, path: str, token: str, **more: object) -> httpx.Response:
    """Ask the control API beside the pages with a token."""
    ask = browser.client.request(
        method, f"/api/v1{path}", headers={"authorization": f"Bearer {token}"}, **more
    )
    return browser._loop.run(ask)


def test_somebody_signs_in_by_name_and_gets_the_page_that_was_asked_for(
    named: Site, issuer: TestIssuer
) -> None:
    """The page says who it is and the role of the groups; neither page nor cookie holds a token."""
    browser = named.browser()
    asked = browser.get("/usage")
    assert "/sign-in/by-name?then=/usage" in asked.text
    browser = came(named, issuer, ANN, "/usage")
    assert "ann · member" in browser.get("/usage").text
    assert browser.get("/people").status_code == 403
    assert "eyJ" not in browser.get("/mine").text + browser.client.cookies["__Host-aiplat-portal"]


def test_signing_out_ends_the_session_here_and_leads_to_the_issuers_end(
    named: Site, issuer: TestIssuer
) -> None:
    """With what tells it whose session that is, and the way back."""
    browser = came(named, issuer, ANN)
    onward = urlsplit(browser.send("/sign-out").headers["refresh"].removeprefix("0; url="))
    asked = parse_qs(onward.query)
    assert f"{onward.scheme}://{onward.netloc}{onward.path}" == f"{issuer.url}/end"
    assert asked["post_logout_redirect_uri"] == [f"{HOST}/sign-in"]
    assert len(asked["id_token_hint"][0].split(".")) == 3
    assert browser.get("/mine").url.path == "/sign-in"


def test_an_answer_that_was_not_asked_for_here_begins_no_session(named: Site, issuer: TestIssuer) -> None:
    """Another's state, one that was used, none at all, or another browser's."""
    issuer.who = ANN
    browser, other = named.browser(), named.browser()
    back = left_for(browser)
    assert other.get(back).status_code == 403
    assert browser.get(re.sub("state=[^&]*", "state=guessed", back)).status_code == 403
    assert browser.get(back).status_code == 403, "a beginning answers once"
    browser = named.browser()
    assert browser.get(back := left_for(browser)).url.path == "/"
    assert browser.get(back).status_code == 403
    assert named.browser().get("/signed-in").status_code == 403


def test_a_code_is_taken_once_whatever_the_browser_kept(named: Site, issuer: TestIssuer) -> None:
    """Who kept the cookie of the beginning still finds the code used up."""
    issuer.who, browser = ANN, named.browser()
    back, kept = left_for(browser), dict(browser.client.cookies)
    assert browser.get(back).url.path == "/"
    thief = named.browser()
    thief.client.cookies.update(kept)
    answer = thief.get(back)
    assert (answer.status_code, "invalid_grant" in answer.text) == (403, True)


@pytest.mark.parametrize(
    "bent",
    [{"nonce": "another"}, {"aud": "open-webui"}, {"iss": "http://127.0.0.1:1"}, {"exp": 1}],
)
def test_a_token_that_is_not_for_this_sign_in_begins_no_session(
    named: Site, issuer: TestIssuer, bent: dict[str, object]
) -> None:
    """The code was good, and the token is not."""
    issuer.who, browser = ANN, named.browser()
    back = left_for(browser)
    token = TestIssuer.token
    issuer.token = lambda client, **told: token(issuer, client, **{**told, **bent})  # type: ignore[method-assign]
    assert browser.get(back).status_code == 403
    assert browser.get("/mine").url.path == "/sign-in"


def test_the_issuer_sends_nobody_to_an_address_that_it_was_not_told(issuer: TestIssuer) -> None:
    """A link with a foreign way back leads nowhere."""
    asked = {"client_id": "portal", "redirect_uri": "https://elsewhere.test/signed-in"}
    assert httpx.get(f"{issuer.url}/authorize", params=asked).status_code == 400


@pytest.mark.parametrize("groups", [[], ["ward-3"], None])
def test_nobody_enters_without_a_group_of_the_site(
    named: Site, issuer: TestIssuer, groups: list[str] | None
) -> None:
    """Neither the pages nor the API; the sentence says why."""
    issuer.who, browser = {**ANN, "groups": groups}, named.browser()
    answer = browser.get(left_for(browser))
    assert (answer.status_code, "none of the groups" in answer.text) == (403, True)
    assert browser.get("/mine").url.path == "/sign-in"
    refused = api(browser, "GET", "/me", issuer.token(CLI))
    assert (refused.status_code, "none of the groups" in refused.text) == (403, True)


def test_a_newer_token_without_the_group_ends_every_session_and_an_older_one_brings_none_back(
    named: Site, issuer: TestIssuer
) -> None:
    """Whoever is put out of the groups is out as soon as the issuer tells it anywhere."""
    browser = came(named, issuer, ROOT)
    old = issuer.token(CLI)
    issuer.who = {**ROOT, "groups": []}
    later = issuer.claims(CLI)["iat"] + 30
    assert api(browser, "GET", "/me", issuer.token(CLI, iat=later)).status_code == 403
    assert browser.get("/people").url.path == "/sign-in"
    assert api(browser, "GET", "/me", old).status_code == 403


def test_a_token_that_says_nothing_of_groups_takes_none_away(
    named: Site, issuer: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where groups are told only to who asks: those of the last sign-in at the portal count, for a while."""
    issuer.asked_for_groups, issuer.who = True, ROOT
    strange = api(named.browser(), "GET", "/me", issuer.token(CLI))
    assert (strange.status_code, "sign in at the portal" in strange.text) == (401, True)
    browser = came(named, issuer, ROOT)
    later = issuer.token(CLI, iat=issuer.claims(CLI)["iat"] + 30)
    assert api(browser, "GET", "/me", later).json()["who"]["role"] == "admin"
    assert browser.get("/people").status_code == 200
    monkeypatch.setattr("aiplat.services.oidc.entry.GROUPS_TOLD_SECONDS", -60)
    assert api(browser, "GET", "/me", later).status_code == 401
    assert browser.get("/people").status_code == 200, "its session has its own end"


def test_an_issuer_that_is_away_is_said_and_keys_go_on(named: Site, issuer: TestIssuer) -> None:
    """The page of the sign-in says it; a key signs in as before."""
    issuer.broken = True
    browser = named.browser()
    assert browser.get("/sign-in/by-name").status_code == 502
    assert api(browser, "GET", "/me", issuer.token(CLI)).status_code == 503
    assert browser.sign_in(named.people.secrets["red"]).status_code == 200


def test_a_site_without_a_sign_in_offers_none(site: Site) -> None:
    """Neither the link nor what is behind it; a token is an unknown key."""
    browser = site.browser()
    assert "by name" not in browser.get("/sign-in").text
    assert browser.get("/sign-in/by-name").status_code == 404
    assert api(browser, "GET", "/me", "eyJ.eyJ.x").status_code == 401


def test_a_member_makes_keys_in_the_team_that_an_admin_gave(named: Site, issuer: TestIssuer) -> None:
    """None before; then they work within the team, and are rotated and revoked by nobody else."""
    ann, root = came(named, issuer, ANN), came(named, issuer, ROOT)
    assert ann.send("/mine/keys", name="mine").status_code == 422
    assert "belongs to no team" in ann.send("/mine/keys", name="mine").text
    people = root.get("/people").text
    person = re.search(r'id="(person-[0-9a-f]+)-team"', people.split("ann", 1)[1])
    assert person
    assert root.send("/people/team", person=person[1], team="red").status_code == 200
    made = ann.send("/mine/keys", name="my laptop")
    secret = SECRET.search(made.text)
    assert secret
    me = api(ann, "GET", "/me", secret[0]).json()
    assert (me["key"]["owner"], me["key"]["team"], me["key"]["role"]) == (person[1], "red", "member")
    key = me["key"]["id"]
    rotated = SECRET.search(ann.send("/mine/keys/rotate", key=key).text)
    assert rotated
    assert api(ann, "GET", "/me", secret[0]).status_code == 401
    spare = named.people.ids["spare"]
    for form in ("/mine/keys/rotate", "/mine/keys/revoke"):
        assert ann.send(form, key=spare).status_code == 404
    assert ann.send("/mine/keys/revoke", key=key).status_code == 200
    assert api(ann, "GET", "/me", rotated[0]).status_code == 401
    assert root.send("/mine/rotate").status_code == 422


def test_the_api_tells_a_person_what_each_key_used_and_has_left(named: Site, issuer: TestIssuer) -> None:
    """By the token of the command line; keys of others are neither told, nor rotated, nor ended."""
    browser = named.browser()
    issuer.who = ROOT
    admin = issuer.token(CLI)
    issuer.who = ANN
    token = issuer.token(CLI)
    assert api(browser, "POST", "/me/keys", token, json={"name": "early"}).status_code == 403
    me = api(browser, "GET", "/me", token).json()
    assert (me["who"]["name"], me["who"]["role"], me["who"]["source"]) == ("ann", "member", "person")
    assert (me["key"], me["keys"], me["team"]) == (None, [], None)
    person = me["who"]["id"]
    assert api(browser, "PATCH", f"/people/{person}", token, json={"team": "red"}).status_code == 403
    assert api(browser, "PATCH", f"/people/{person}", admin, json={"team": "red"}).status_code == 200
    made = api(browser, "POST", "/me/keys", token, json={"name": "mine"})
    assert made.status_code == 201, made.text
    key = made.json()["key"]["id"]
    budget = {"unit": "tokens", "period": "day", "limit": 100}
    assert api(browser, "PUT", f"/keys/{key}/budgets", token, json=budget).status_code == 403
    assert api(browser, "PUT", f"/keys/{key}/budgets", admin, json=budget).status_code == 200
    told = api(browser, "GET", "/me", token).json()
    assert [(k["key"]["id"], k["budgets"][0]["left"]) for k in told["keys"]] == [(key, "100")]
    assert api(browser, "GET", "/me/usage", token).json() == {"lines": []}
    spare = named.people.ids["spare"]
    assert api(browser, "POST", f"/keys/{spare}/rotate", token).status_code == 403
    assert api(browser, "DELETE", f"/keys/{spare}", token).status_code == 403
    assert api(browser, "PATCH", f"/people/{person}", admin, json={"team": ""}).status_code == 409
    assert api(browser, "DELETE", f"/keys/{key}", token).status_code == 200
    assert api(browser, "PATCH", f"/people/{person}", admin, json={"team": ""}).status_code == 200


@pytest.mark.parametrize("client", ["portal", "open-webui"])
def test_the_api_takes_no_token_of_another_client(named: Site, issuer: TestIssuer, client: str) -> None:
    """What another application was given of somebody opens nothing here, nor does another's signature."""
    browser = named.browser()
    assert api(browser, "GET", "/me", issuer.token(client)).status_code == 401
    forged = issuer.token(CLI, key=NEXT_KEY)
    assert api(browser, "GET", "/me", forged).json()["type"] == "urn:aiplat:problem:no-key"


def test_the_playground_asks_as_the_person(named: Site, issuer: TestIssuer) -> None:
    """By a key of the person's own that nobody is shown; without a team no budget would bind it."""
    ann, root = came(named, issuer, ANN), came(named, issuer, ROOT)
    assert "you are in none, so no budget binds you" in ann.get("/playground").text
    listed = api(root, "GET", "/keys", named.people.secrets["admin"]).json()["keys"]
    (own,) = [k for k in listed if k["name"] == "playground"]
    assert (own["owner"].startswith("person-"), own["role"]) == (True, "member")
    assert named.portal.seal.secret_of(own["owner"]) not in root.get("/mine").text


def test_the_key_of_a_persons_playground_is_in_nobodys_hands(named: Site, issuer: TestIssuer) -> None:
    """An operator without a team would have a key that no budget binds."""
    browser = came(named, issuer, {"sub": "u-olga", "preferred_username": "olga", "groups": ["operator"]})
    browser.get("/playground")
    token = issuer.token(CLI)
    person = api(browser, "GET", "/me", token).json()["who"]["id"]
    key = playground_key(person)
    assert api(browser, "POST", f"/keys/{key}/rotate", token).status_code == 403
    assert api(browser, "DELETE", f"/keys/{key}", token).status_code == 403
