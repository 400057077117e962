"""People of the site's sign-in, as its pod tells of them over a cluster's API on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiplat.actions.users import (
    add_user,
    first_admin,
    lock_user,
    people,
    put_into_team,
    remove_user,
    set_groups,
    unlock_user,
)
from aiplat.cli.first_sign_in import offer_first_sign_in
from aiplat.errors import AiplatError, BadInput
from aiplat.site.load import load_site
from aiplat.site.models import ComponentSetting, Site
from tests.cluster import kube as given
from tests.verify.loopback import Loopback

LINK = "https://login.ward.test/reset/ada/a-token"
ADA: dict[str, Any] = {"id": "u-1", "name": "ada", "groups": ["member"], "email": None, "state": "invited"}
INVITED = ADA | {"link": LINK, "expires": "2030-01-31T12:00:00+00:00"}


def signing(healthy: Loopback, answer: Callable[[list[str]], tuple[str, int]]) -> Site:
    """Give the site a sign-in, whose pod answers this to the words after the program."""
    labels = {"app.kubernetes.io/name": "canaille", "app.kubernetes.io/instance": "canaille"}
    healthy.kube.lists["pods"].append(given.pod("canaille-1", "aiplat-access", labels, "image"))

    def run(pod: str, command: list[str]) -> tuple[str, int]:
        assert (pod, command[:3]) == ("canaille-1", ["python3", "-m", "aiplat.services.signin"])
        return answer(command[3:])

    healthy.kube.executed = run
    planes = {"access": {"canaille": ComponentSetting(state="on")}}
    return healthy.site.model_copy(update={"planes": planes})


def with_portal(site: Site) -> Site:
    """Give a site a portal too."""
    planes = {**site.planes, "user-serving": {"portal": ComponentSetting(state="on")}}
    return site.model_copy(update={"planes": planes})


def portal_pod() -> dict[str, Any]:
    """A pod of the portal that is ready."""
    labels = {"app.kubernetes.io/name": "portal", "app.kubernetes.io/instance": "portal"}
    return given.pod("portal-1", "aiplat-user-serving", labels, "image")


def told_of(
    answer: dict[str, Any], portal: Callable[[str, list[str]], int]
) -> Callable[[str, list[str]], tuple[str, int]]:
    """Have the sign-in's pod give an answer, and the portal's pod take what is told."""

    def run(pod: str, command: list[str]) -> tuple[str, int]:
        if command[2] == "aiplat.services.signin":
            return json.dumps(answer), 0
        return "", portal(pod, command)

    return run


def test_everybody_is_listed(healthy: Loopback) -> None:
    """With groups and state; what a library says after the answer does not matter."""
    site = signing(healthy, lambda _: (f"{json.dumps([ADA])}\nwarning: something\n", 0))
    (ada,) = people(site).people
    assert (ada.name, ada.groups, ada.state) == ("ada", ("member",), "invited")


def test_who_is_added_gets_a_link(healthy: Loopback) -> None:
    """The name cannot be taken for an option; the link is not in what Python shows of the answer."""
    asked: list[list[str]] = []
    site = signing(healthy, lambda words: (asked.append(words) or json.dumps(INVITED), 0))
    invited = add_user(site, "ada", ("member", "operator"), email="ada@ward.test")
    words = ["add", "--group", "member", "--group", "operator", "--email", "ada@ward.test", "--", "ada"]
    assert asked == [words]
    assert invited.link == LINK
    assert "a-token" not in repr(invited)


def test_what_the_sign_in_refuses_is_bad_input(healthy: Loopback) -> None:
    """Its own words, where and what to do."""
    error = {"where": "group nosuch", "problem": "is not there", "fix": "take one of admin"}
    site = signing(healthy, lambda _: (json.dumps({"error": error}), 2))
    with pytest.raises(BadInput, match="group nosuch: is not there; take one of admin"):
        set_groups(site, "ada", ("nosuch",))


def test_an_answer_that_is_none_is_not_repeated(healthy: Loopback) -> None:
    """It may hold a link."""
    site = signing(healthy, lambda _: (f"odd {LINK}\n", 1))
    with pytest.raises(AiplatError, match="is not understood") as caught:
        add_user(site, "ada", ("member",))
    assert "a-token" not in str(caught.value.findings)


def test_the_portal_follows_what_is_changed(healthy: Loopback) -> None:
    """Before the command ends; where the portal cannot, that is said, and that the sign-in did."""
    codes, asked = iter([0, 1]), []
    site = with_portal(signing(healthy, lambda _: ("", 0)))
    healthy.kube.executed = told_of(ADA, lambda pod, command: asked.append((pod, command[2])) or next(codes))
    with pytest.raises(AiplatError, match="ada: is changed at the sign-in; open sessions and keys follow"):
        remove_user(site, "ada")
    healthy.kube.lists["pods"].append(portal_pod())
    assert lock_user(site, "ada").name == "ada"
    with pytest.raises(AiplatError, match="is changed at the sign-in"):
        unlock_user(site, "ada")
    assert asked == [("portal-1", "aiplat.services.people")] * 2


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("all-keys", "people are managed at the company's, https://"),
        ("existing-cluster", "it needs the ingress"),
    ],
)
def test_where_a_site_cannot_have_a_sign_in_of_its_own_nobody_is_told_to_turn_it_on(
    named: str, said: str
) -> None:
    """It has the company's, which would be a second one; or no ingress."""
    site = load_site(Path(__file__).parents[1] / "site" / "valid" / f"{named}.yaml")
    with pytest.raises(BadInput, match=f"has no sign-in of its own; {said}"):
        people(site)


def test_the_audit_trail_learns_who_did_it(healthy: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """As this machine names its user; the link is not told. What the trail lacks is said with the link."""
    monkeypatch.setattr("aiplat.actions.users.own_name", lambda: "mo")
    monkeypatch.setattr("socket.gethostname", lambda: "desk-7")
    told: list[str] = []
    site = with_portal(signing(healthy, lambda _: ("", 0)))
    healthy.kube.executed = told_of(INVITED, lambda _, command: told.extend(command[7:]) or 0)
    assert add_user(site, "ada", ("member",)).noted is False
    healthy.kube.lists["pods"].append(portal_pod())
    assert add_user(site, "ada", ("member",)).noted is True
    assert told == [
        "--by=mo@desk-7",
        "note",
        "--action=person.invited",
        "--subject=u-1",
        '--detail={"name": "ada", "groups": ["member"]}',
    ]


def test_somebody_is_put_into_a_team_at_the_portal(healthy: Loopback) -> None:
    """Also with a company's sign-in; what the portal refuses is bad input, and so is a site without one."""
    with pytest.raises(BadInput, match="has no portal, which keeps people's teams; turn it on"):
        put_into_team(healthy.site, "ada", "ward")
    site = with_portal(healthy.site)
    with pytest.raises(AiplatError, match="the portal of t-look: does not run"):
        put_into_team(site, "ada", "ward")
    healthy.kube.lists["pods"].append(portal_pod())
    error = {"where": "user adda", "problem": "is not at the site's sign-in", "fix": 'did you mean "ada"?'}
    answers = {"ada": ({"id": "person-1", "awaited": True}, 0), "adda": ({"error": error}, 2)}

    def run(_: str, command: list[str]) -> tuple[str, int]:
        assert command[8:-1] == ["team", "--team=ward", "--"]
        told, code = answers[command[-1]]
        return json.dumps(told), code

    healthy.kube.executed = run
    assert put_into_team(site, "ada", "ward").awaited
    with pytest.raises(BadInput, match='user adda: is not at the site\'s sign-in; did you mean "ada"'):
        put_into_team(site, "adda", "ward")


def test_a_site_without_a_sign_in_says_so(healthy: Loopback) -> None:
    """And how to turn it on; one whose pod is not ready says that."""
    with pytest.raises(BadInput, match="has no sign-in of its own; turn it on"):
        people(healthy.site)
    site = signing(healthy, lambda _: ("[]", 0))
    healthy.kube.lists["pods"] = []
    with pytest.raises(AiplatError, match="the sign-in of t-look: does not run"):
        people(site)


def test_the_first_bootstrap_ends_with_a_link(healthy: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is somebody, nothing is said; where nobody answers, what to do later."""
    answers = iter([(json.dumps(INVITED), 0), ("{}", 0), ("odd", 1)])
    site = signing(healthy, lambda _: next(answers))
    offer_first_sign_in(site)
    assert LINK in capsys.readouterr().err
    assert first_admin(site) is None
    offer_first_sign_in(site)
    assert "aiplat users add NAME --group admin" in capsys.readouterr().err
    offer_first_sign_in(healthy.site)
    assert capsys.readouterr().err == ""
