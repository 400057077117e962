"""What must not come through where people are managed: tokens of before, half requests, wrong answers."""

from __future__ import annotations

import time

import httpx
import pytest

from aiplat.services.people.directory import Account, Directory, DirectoryAwayError
from tests.services.portal.test_by_name import CLI, api, came
from tests.services.portal.wards import SECRET, Ward

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("change", ["remove", "lock"])
def test_a_token_shown_first_after_its_person_was_sent_away_opens_nothing(ward: Ward, change: str) -> None:
    """Nothing is known here yet of who only signed in at the command line: the sign-in is asked."""
    ward.invited(f"stays-{change}", "admin")
    person = ward.invited(f"first-{change}", "admin")
    ward.issuer.who = ward.who(person)
    token, path = ward.issuer.token(CLI), f"/people/{person['person']['id']}"
    if change == "remove":
        assert ward.ask("DELETE", path).status_code == 204
    else:
        assert ward.ask("PATCH", path, json={"locked": True}).status_code == 200
    for _ in range(2):
        assert api(ward.admin, "GET", "/keys", token).status_code == 403


def test_a_token_that_gives_more_than_the_sign_in_says_today_is_asked_about_once(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shows an admin's token of before at every request has the sign-in asked for the first alone."""
    person = ward.invited("sal", "member")
    ward.issuer.who = ward.who(person)
    assert api(ward.admin, "GET", "/audit", ward.issuer.token(CLI)).status_code == 403
    stale = ward.issuer.token(CLI, groups=["admin"], iat=int(time.time()) + 1)
    asked: list[str] = []
    listed = Directory.everybody

    async def everybody(directory: Directory) -> list[Account]:
        asked.append("everybody")
        return await listed(directory)

    monkeypatch.setattr(Directory, "everybody", everybody)
    assert [api(ward.admin, "GET", "/audit", stale).status_code for _ in range(3)] == [403] * 3
    assert asked == ["everybody"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("locked", {}),
        ("locked", {"locked": None}),
        ("locked", {"locked": "false"}),
        ("groups", {}),
        ("groups", {"groups": "admin"}),
        ("groups", {"groups": [1]}),
        ("groups", ["admin"]),
    ],
)
def test_a_change_that_is_not_said_plainly_changes_nothing(
    ward: Ward, canaille: str, path: str, asked: object
) -> None:
    """What lacks its value must neither let in who is locked nor take groups away."""
    name = f"plain-{len(ward.ask('GET', '/people').json()['people'])}"
    person = ward.invited(name, "member")["person"]["id"]
    ward.ask("PATCH", f"/people/{person}", json={"locked": True})
    answer = httpx.put(f"{canaille}/people/{name}/{path}", json=asked, auth=("portal", SECRET))
    assert answer.status_code == 400
    told = next(one for one in ward.ask("GET", "/people").json()["people"] if one["id"] == person)
    assert (told["account"]["state"], told["account"]["groups"]) == ("locked", ["member"])


@pytest.mark.parametrize(
    "field",
    [
        {"email": "no address"},
        {"email": "a@b.test\nBcc: c@d.test"},
        {"email": f"a@{'b' * 300}"},
        {"full-name": "a\nb"},
        {"full-name": "a" * 200},
    ],
)
def test_the_page_takes_no_address_or_name_that_is_none(ward: Ward, field: dict[str, str]) -> None:
    """As the API does; nobody is made."""
    assert ward.admin.send("/people/add", name="nobody-yet", **field).status_code == 422
    assert "nobody-yet" not in ward.ask("GET", "/people").text


def test_an_answer_without_a_list_of_people_is_not_one_of_nobody(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else everybody would be gone, with all keys."""
    person = ward.invited("tom", "member")
    browser = came(ward.site, ward.issuer, ward.who(person))

    async def whole(_: object) -> bytes:
        return b"{}"

    monkeypatch.setattr("aiplat.services.people.directory._whole", whole)
    with pytest.raises(DirectoryAwayError):
        browser._loop.run(ward.desk.catch_up())
    assert browser.get("/mine").url.path == "/mine"


def test_what_is_longer_than_any_change_is_not_taken(canaille: str) -> None:
    """Nor kept until somebody has looked who sends it; nor is what is nested too deeply to be read."""
    deep = httpx.post(f"{canaille}/people", content=b"[" * 9000, headers=JSON, auth=("portal", SECRET))
    assert (deep.status_code, deep.json()["error"]["where"]) == (400, "request")
    assert httpx.post(f"{canaille}/people", content=b"x" * (17 << 10)).status_code == 413
