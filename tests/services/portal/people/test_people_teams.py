"""Putting people into teams, on the page, by the API and by command, before their first sign-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiplat.services.portal.app import create_app
from aiplat.services.store.people import person_id
from aiplat.shipped import shipped_root
from tests.services.oidc.issuer import TestIssuer
from tests.services.portal.conftest import HOST, Browser, Site
from tests.services.portal.test_by_name import api, came
from tests.services.portal.wards import SECRET, Ward, entry_of


@pytest.fixture
def company(site: Site) -> Iterator[tuple[Site, TestIssuer]]:
    """A portal with a company's sign-in."""
    issuer = TestIssuer(redirects={"portal": (f"{HOST}/signed-in",)})
    site.portal = replace(site.portal, entry=entry_of(issuer.url, ""))
    site.app = create_app(site.portal)
    yield site, issuer
    issuer.close()


def team_of(browser: Browser, site: Site, name: str) -> str:
    """Return the team that an admin sees somebody in."""
    people = api(browser, "GET", "/people", site.people.secrets["admin"]).json()["people"]
    found: str = next(one["team"] for one in people if one["name"] == name)
    return found


def test_an_account_is_in_a_team_from_the_first_sign_in_on(ward: Ward) -> None:
    """Put there by id, as the page does; the list says so before, and keys are of that team at once."""
    person = ward.invited("ada", "member")
    path = f"/people/{person['person']['id']}"
    waits = ward.ask("PATCH", path, json={"team": "red"}).json()
    assert (waits["team"], waits["firstSeen"]) == ("red", None)
    assert team_of(ward.admin, ward.site, "ada") == "red"
    browser = came(ward.site, ward.issuer, ward.who(person))
    assert ward.ask("PATCH", path, json={}).json()["firstSeen"] is not None
    assert team_of(ward.admin, ward.site, "ada") == "red"
    assert browser.send("/mine/keys", name="mine").status_code == 200
    assert ward.audit(person["person"]["id"]).count("person.team") == 2


def test_a_name_that_is_not_at_the_sign_in_is_refused_with_the_nearest(ward: Ward) -> None:
    """Nobody waits for a name that is mistyped; nor is somebody put into a team that is not there."""
    ward.invited("benedikt", "member")
    wrong = ward.ask("PATCH", "/people/by-name/bendikt", json={"team": "red"})
    assert (wrong.status_code, 'did you mean "benedikt"?' in wrong.json()["detail"]) == (404, True)
    nowhere = ward.ask("PATCH", "/people/by-name/benedikt", json={"team": "nosuch"})
    assert (nowhere.status_code, "make the team first" in nowhere.text) == (409, True)
    placed = ward.ask("PATCH", "/people/by-name/benedikt", json={"team": "red"}).json()
    assert (placed["team"], placed["account"]["user"]) == ("red", "benedikt")


def test_the_page_puts_somebody_into_a_team_before_they_come(ward: Ward) -> None:
    """And takes them out again; whoever is removed is not awaited, also not under the same name."""
    person = ward.invited("cyd", "member")["person"]["id"]
    ward.admin.send("/people/team", person=person, team="red")
    assert team_of(ward.admin, ward.site, "cyd") == "red"
    ward.admin.send("/people/team", person=person, team="")
    assert team_of(ward.admin, ward.site, "cyd") == ""
    ward.admin.send("/people/team", person=person, team="red")
    ward.ask("DELETE", f"/people/{person}")
    ward.invited("cyd", "member")
    assert team_of(ward.admin, ward.site, "cyd") == ""


def test_who_comes_by_a_companys_sign_in_is_awaited_by_name(company: tuple[Site, TestIssuer]) -> None:
    """By the claim that teams name people by; the page shows who is awaited until they come."""
    site, issuer = company
    admin = site.browser("admin")
    admin.send("/people/await", name="dee@company.test", team="red")
    page = admin.get("/people").text
    assert ("dee@company.test" in page, "awaited" in page) == (True, True)
    told = {"sub": "s-1", "name": "dee@company.test", "groups": ["member"]}
    came(site, issuer, told)
    came(site, issuer, told | {"sub": "s-2", "preferred_username": "dee@company.test"})
    people = api(admin, "GET", "/people", site.people.secrets["admin"]).json()["people"]
    teams = {one["subject"]: one["team"] for one in people if one["name"] == "dee@company.test"}
    assert teams == {"s-1": "", "s-2": "red"}
    two = api(
        admin,
        "PATCH",
        "/people/by-name/dee@company.test",
        site.people.secrets["admin"],
        json={"team": ""},
    )
    assert (two.status_code, "is the name of 2 people" in two.text) == (409, True)


def test_a_site_without_a_sign_in_by_name_awaits_nobody(site: Site) -> None:
    """It says so."""
    secret = site.people.secrets["admin"]
    answer = api(site.browser(), "PATCH", "/people/by-name/ada", secret, json={"team": "red"})
    assert (answer.status_code, "no sign-in by name is" in answer.text) == (409, True)


def test_a_command_puts_somebody_into_a_team(ward: Ward, tmp_path: Path) -> None:
    """As `aiplat users team` has it done in the portal's pod; what is wrong is in the answer."""
    person = ward.invited("eve", "member")["person"]
    assert told_by_command(ward, tmp_path, "red", "eve") == {"id": person["id"], "awaited": True}
    assert team_of(ward.admin, ward.site, "eve") == "red"
    came(ward.site, ward.issuer, ward.who({"person": person}))
    assert told_by_command(ward, tmp_path, "blue", "eve") == {"id": person["id"], "awaited": False}
    assert told_by_command(ward, tmp_path, "red", "evve", code=2)["error"]["fix"] == 'did you mean "eve"?'
    trail = ward.ask("GET", f"/audit?actor=mo@desk-7&subject={person['id']}").json()["entries"]
    assert [entry["detail"]["team"] for entry in trail if entry["action"] == "person.team"] == [
        "blue",
        "red",
        "red",
    ]
    assert person["id"] == person_id(ward.issuer.url, person["subject"])


def told_by_command(ward: Ward, folder: Path, team: str, name: str, code: int = 0) -> dict[str, Any]:
    """Run the program of the portal's pod; return its answer."""
    entry, client = ward.site.portal.entry, folder / "client"
    assert entry
    client.mkdir(exist_ok=True)
    (folder / "sign-in.json").write_text(entry.sign_in.model_dump_json(by_alias=True))
    (client / "client_id").write_text("portal")
    (client / "client_secret").write_text(SECRET)
    words = [f"--sign-in={folder / 'sign-in.json'}", f"--sign-in-client={client}", "--by=mo@desk-7"]
    done = subprocess.run(
        [sys.executable, "-m", "aiplat.services.people", *words, "team", f"--team={team}", "--", name],
        env=os.environ | {"AIPLAT_DATABASE_URL": f"sqlite:///{folder / 'accounts.db'}"},
        cwd=shipped_root(),
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == code
    told: dict[str, Any] = json.loads(done.stdout)
    return told
