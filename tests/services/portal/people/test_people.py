"""People as an admin manages them, on the page and by the API, at a real Canaille; and what follows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from aiplat.errors import BadInput
from aiplat.services.gateway.accounts import account_cache
from aiplat.services.oidc.settings import Client
from aiplat.services.people.desk import desk_of
from aiplat.services.people.directory import DirectoryAwayError
from aiplat.services.portal.app import create_app
from tests.services.portal.conftest import Site
from tests.services.portal.test_by_name import CLI, api, came
from tests.services.portal.wards import CLIENT, Served, Ward, entry_of
from tests.services.signin.canaille import configured, serving


def test_an_admin_adds_somebody_and_hands_over_a_link(ward: Ward) -> None:
    """The answer alone has the link; the person stands in the list, invited, and in the audit trail."""
    made = ward.invited("ada", "member", "operator")
    assert made["link"].startswith("https://login.ward.test/reset/ada/")
    assert (made["person"]["role"], made["person"]["firstSeen"]) == ("operator", None)
    listed = ward.ask("GET", "/people").json()["people"]
    ada = next(one for one in listed if one["name"] == "ada")
    assert ada["account"] == {
        "user": "ada",
        "groups": ["member", "operator"],
        "email": None,
        "state": "invited",
    }
    assert ward.audit(ada["id"]) == ["person.invited"]
    assert "reset" not in ward.ask("GET", "/audit").text
    again = ward.ask("POST", "/people", json={"user": "ada"})
    assert (again.status_code, "is there already" in again.text) == (409, True)


def test_an_operator_sees_who_signed_in_and_not_the_accounts(ward: Ward) -> None:
    """Mail addresses and groups are for those who manage people."""
    ward.invited("bob", "member")
    told = api(ward.admin, "GET", "/people", ward.site.people.secrets["operator"])
    assert (told.status_code, "bob" in told.text) == (200, False)


def test_a_person_is_put_into_groups_given_a_new_link_and_removed_by_the_api(ward: Ward) -> None:
    """Each answer says how things are now; whoever is removed is not there."""
    person = ward.invited("cyd", "member")["person"]["id"]
    changed = ward.ask("PATCH", f"/people/{person}", json={"groups": ["operator"]})
    assert (changed.status_code, changed.json()["role"]) == (200, "operator")
    assert ward.ask("POST", f"/people/{person}/link").json()["link"].startswith("https://login.")
    assert ward.ask("PATCH", f"/people/{person}", json={"groups": ["nosuch"]}).status_code == 409
    assert ward.ask("DELETE", f"/people/{person}").status_code == 204
    assert ward.ask("DELETE", f"/people/{person}").status_code == 404
    assert ward.audit(person) == ["person.invited", "person.groups", "person.link", "person.removed"]


def test_another_group_holds_for_open_sessions_at_once(ward: Ward) -> None:
    """The page of a role that somebody lost is refused at the next click, and so is the token of before."""
    ward.invited("dee", "admin")
    person = ward.invited("dov", "admin")
    browser, old = came(ward.site, ward.issuer, ward.who(person)), ward.issuer.token(CLI)
    assert browser.get("/people").status_code == 200
    ward.ask("PATCH", f"/people/{person['person']['id']}", json={"groups": ["member"]})
    assert browser.get("/people").status_code == 403
    assert api(browser, "GET", "/audit", old).status_code == 403


def test_nobody_undoes_themselves(ward: Ward) -> None:
    """Not by removal, not by a lock, not by leaving the admins."""
    person = ward.invited("eve", "admin")
    browser, path = came(ward.site, ward.issuer, ward.who(person)), f"/people/{person['person']['id']}"
    token = ward.issuer.token(CLI)
    refused = [
        api(browser, "DELETE", path, token),
        api(browser, "PATCH", path, token, json={"locked": True}),
        api(browser, "PATCH", path, token, json={"groups": ["member"]}),
    ]
    assert [(one.status_code, "is you" in one.text) for one in refused] == [(409, True)] * 3


def test_the_last_admin_is_not_removed(ward: Ward, tmp_path: Path) -> None:
    """Nor locked, nor taken out of the group; with another one there, it is done."""
    with serving(configured(tmp_path, [CLIENT])) as url:
        ward.site.portal = replace(ward.site.portal, entry=entry_of(ward.issuer.url, url))
        ward.site.app = create_app(ward.site.portal)
        ward.admin = ward.site.browser("admin")
        path = f"/people/{ward.invited('fay', 'admin')['person']['id']}"
        for answer in (
            ward.ask("DELETE", path),
            ward.ask("PATCH", path, json={"locked": True}),
            ward.ask("PATCH", path, json={"groups": []}),
        ):
            assert (answer.status_code, "last admin" in answer.text) == (409, True)
        ward.invited("flo", "admin")
        assert ward.ask("DELETE", path).status_code == 204


def test_the_gateway_looks_for_what_changed_every_second() -> None:
    """So whoever is removed or locked is out within two; the journey of the portal measures it on hosts."""
    assert account_cache._EVERY_SECONDS <= 1


def test_whoever_is_removed_is_out_with_all_keys(served: Served) -> None:
    """At the gateway, at the API with a token that is good for longer, and at the portal."""
    person, browser, secret = served.keyed("gus")
    token = served.ward.issuer.token(CLI)
    assert served.ward.ask("DELETE", f"/people/{person['id']}").status_code == 204
    assert served.becomes(secret, 401)
    assert api(browser, "GET", "/me", token).status_code == 403
    assert api(browser, "GET", "/me", secret).status_code == 401
    assert browser.get("/mine").url.path == "/sign-in"
    trail = served.ward.ask("GET", "/audit?action=key.revoked").json()["entries"]
    assert {entry["actor"] for entry in trail} == {served.ward.site.people.ids["admin"]}


def test_the_keys_of_who_is_locked_out_rest_and_work_again_afterwards(served: Served) -> None:
    """Refused, and not revoked."""
    person, browser, secret = served.keyed("hal")
    path = f"/people/{person['id']}"
    assert served.ward.ask("PATCH", path, json={"locked": True}).json()["account"]["state"] == "locked"
    assert served.becomes(secret, 401)
    assert browser.get("/mine").url.path == "/sign-in"
    assert served.ward.ask("POST", f"{path}/link").status_code == 409
    assert served.ward.ask("PATCH", path, json={"locked": False}).json()["role"] == "member"
    assert served.becomes(secret, 200)


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("aiplat.services.people.directory.DIRECTORY_BYTES", 3),
        ("aiplat.services.people.directory.DIRECTORY_SECONDS", 1e-6),
    ],
)
def test_an_answer_that_is_too_long_or_too_late_is_none(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    """The portal holds no more, and waits no longer."""
    monkeypatch.setattr(limit, value)
    with pytest.raises(DirectoryAwayError):
        ward.admin._loop.run(ward.desk.everybody())


def test_the_page_adds_groups_locks_links_and_removes(ward: Ward) -> None:
    """The link is on one page, this once; what is refused is said."""
    added = ward.admin.send("/people/add", **{"name": "kim", "email": "kim@ward.test", "group-member": "on"})
    assert re.search(r"<code>https://login\.ward\.test/reset/kim/[^<]+</code>", added.text)
    shown = ward.admin.get("/people").text
    assert ("kim@ward.test" in shown, "reset/kim" in shown) == (False, False)
    listed = ward.ask("GET", "/people").json()["people"]
    person = next(one["id"] for one in listed if one["name"] == "kim")
    ward.admin.send("/people/groups", **{"person": person, "group-operator": "on"})
    assert ward.ask("GET", "/people").text.count('"operator"') >= 1
    ward.admin.send("/people/lock", person=person, locked="yes")
    assert "Let in kim" in ward.admin.get("/people").text
    assert ward.admin.send("/people/link", person=person).status_code == 422
    ward.admin.send("/people/lock", person=person, locked="no")
    assert "reset/kim" in ward.admin.send("/people/link", person=person).text
    ward.admin.send("/people/remove", person=person)
    assert "kim" not in ward.admin.get("/people").text
    assert ward.admin.send("/people/remove", person=person).status_code == 404


def test_a_group_that_the_page_does_not_show_stays(ward: Ward) -> None:
    """Groups that somebody made for other programs are not the portal's to take away."""
    person = ward.invited("lou", "member")["person"]["id"]
    ward.admin.send("/people/groups", **{"person": person, "group-operator": "on", "group-member": "on"})
    groups = ward.ask("GET", "/people").json()["people"]
    assert next(p for p in groups if p["id"] == person)["account"]["groups"] == ["member", "operator"]


def test_with_the_companys_sign_in_page_and_api_say_where_people_are_managed(site: Site) -> None:
    """A sentence and no form; who signed in is listed all the same."""
    site.portal = replace(site.portal, entry=entry_of("https://id.company.test", ""))
    site.app = create_app(site.portal)
    browser, secret = site.browser("admin"), site.people.secrets["admin"]
    answer = api(browser, "POST", "/people", secret, json={"user": "mia"})
    sentence = "are managed at the company&#39;s sign-in, https://id.company.test"
    assert (answer.status_code, sentence.replace("&#39;", "'") in answer.text) == (409, True)
    assert api(browser, "GET", "/people", secret).status_code == 200
    page = browser.get("/people").text
    assert (sentence in page, "Add a person" in page) == (True, False)
    assert browser.send("/people/add", name="mia").status_code == 422


def test_a_site_without_a_sign_in_says_how_to_get_one(site: Site) -> None:
    """By the setting of site.yaml."""
    answer = api(site.browser(), "POST", "/people", site.people.secrets["admin"], json={"user": "mia"})
    assert (answer.status_code, "canaille: {state: on}" in answer.text) == (409, True)


def test_a_sign_in_that_is_away_is_said_and_the_page_is_shown(site: Site) -> None:
    """Teams and keys are not its matter."""
    site.portal = replace(site.portal, entry=entry_of("https://login.ward.test", "http://127.0.0.1:1"))
    site.app = create_app(site.portal)
    browser = site.browser("admin")
    assert "does not answer as it should" in browser.get("/people").text
    answer = api(browser, "POST", "/people", site.people.secrets["admin"], json={"user": "mia"})
    assert (answer.status_code, answer.json()["detail"][:8]) == (503, "sign-in:")


@pytest.mark.parametrize(
    "auth", [None, ("portal", "wrong"), ("hub", "another secret"), ("nobody", ""), ("portal", "")]
)
def test_people_are_managed_by_clients_that_may(canaille: str, auth: tuple[str, str] | None) -> None:
    """Whoever comes without the secret of one, or with another's, learns nothing, on any path."""
    for method, path in (
        ("GET", "/people"),
        ("POST", "/people"),
        ("POST", "/people/ada/link"),
        ("PUT", "/people/ada/groups"),
        ("PUT", "/people/ada/locked"),
        ("DELETE", "/people/ada"),
        ("GET", "/elsewhere"),
    ):
        assert httpx.request(method, canaille + path, auth=auth).status_code == 401


def test_a_client_with_a_wrong_secret_is_told_so(ward: Ward, canaille: str) -> None:
    """It is the sign-in that does not answer as it should, not the person who is wrong."""
    wrong = entry_of("https://login.ward.test", canaille)
    desk = desk_of(replace(wrong, client=Client("portal", "wrong")), ward.site.database)
    with pytest.raises(DirectoryAwayError, match="answered 401"):
        ward.admin._loop.run(desk.everybody())
    with pytest.raises(BadInput):
        desk_of(None, ward.site.database)
