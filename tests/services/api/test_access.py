"""Who may do what: one table of every route and every role, and that teams do not see each other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.api.conftest import Api

DIGEST = f"sha256:{'0' * 64}"
RUN = "20260102T030405Z-0a1b2c"
BUDGET = {"unit": "tokens", "period": "day", "limit": 100}

# Operation → method, path, body, then the status for: nobody, a member, an operator, an admin. KEY is a key
# of the member's team; 404 and 409 are what is found behind the door, 401 and 403 the door itself.
ROUTES: dict[str, tuple[str, str, Any, tuple[int, int, int, int]]] = {
    "getHealth": ("GET", "/health", None, (200, 200, 200, 200)),
    "getSite": ("GET", "/site", None, (401, 403, 200, 200)),
    "getSiteStatus": ("GET", "/site/status", None, (401, 403, 200, 200)),
    "listPlanes": ("GET", "/planes", None, (401, 200, 200, 200)),
    "getPlane": ("GET", "/planes/model", None, (401, 200, 200, 200)),
    "listModels": ("GET", "/models", None, (401, 200, 200, 200)),
    "listDeclaredModels": ("GET", "/models/declared", None, (401, 409, 409, 409)),
    "listChecks": ("GET", "/checks", None, (401, 403, 200, 200)),
    "runChecks": ("POST", "/checks", None, (401, 403, 200, 200)),
    "listPlans": ("GET", "/plans", None, (401, 403, 200, 200)),
    "makePlan": ("POST", "/plans", None, (401, 403, 201, 201)),
    "getPlan": ("GET", f"/plans/{DIGEST}", None, (401, 403, 404, 404)),
    "listRuns": ("GET", "/runs", None, (401, 403, 200, 200)),
    "startRun": ("POST", "/runs", {"planDigest": DIGEST}, (401, 403, 409, 409)),
    "getRun": ("GET", f"/runs/{RUN}", None, (401, 403, 404, 404)),
    "stopRun": ("POST", f"/runs/{RUN}/stop", None, (401, 403, 404, 404)),
    "followRun": ("GET", f"/runs/{RUN}/events", None, (401, 403, 404, 404)),
    "getCatalog": ("GET", "/catalog", None, (401, 200, 200, 200)),
    "listCatalogModels": ("GET", "/catalog/models", None, (401, 200, 200, 200)),
    "listKeys": ("GET", "/keys", None, (401, 200, 200, 200)),
    "createKey": ("POST", "/keys", {"name": "new"}, (401, 403, 403, 201)),
    "getKey": ("GET", "/keys/KEY", None, (401, 200, 200, 200)),
    "changeKey": ("PATCH", "/keys/KEY", {"name": "renamed"}, (401, 403, 403, 200)),
    "rotateKey": ("POST", "/keys/KEY/rotate", None, (401, 403, 403, 200)),
    "listKeyBudgets": ("GET", "/keys/KEY/budgets", None, (401, 200, 200, 200)),
    "setKeyBudget": ("PUT", "/keys/KEY/budgets", BUDGET, (401, 403, 403, 200)),
    "removeKeyBudget": ("DELETE", "/keys/KEY/budgets/tokens/day", None, (401, 403, 403, 204)),
    "revokeKey": ("DELETE", "/keys/KEY", None, (401, 403, 403, 200)),
    "listTeams": ("GET", "/teams", None, (401, 200, 200, 200)),
    "createTeam": ("POST", "/teams", {"name": "green"}, (401, 403, 403, 201)),
    "getTeam": ("GET", "/teams/red", None, (401, 200, 200, 200)),
    "changeTeam": ("PATCH", "/teams/red", {"description": "x"}, (401, 403, 403, 200)),
    "listTeamBudgets": ("GET", "/teams/red/budgets", None, (401, 200, 200, 200)),
    "setTeamBudget": ("PUT", "/teams/red/budgets", BUDGET, (401, 403, 403, 200)),
    "removeTeamBudget": ("DELETE", "/teams/red/budgets/tokens/day", None, (401, 403, 403, 204)),
    "deleteTeam": ("DELETE", "/teams/green", None, (401, 403, 403, 204)),
    "getMe": ("GET", "/me", None, (401, 200, 200, 200)),
    "getMyUsage": ("GET", "/me/usage", None, (401, 200, 200, 200)),
    "createMyKey": ("POST", "/me/keys", {"name": "mine"}, (401, 403, 403, 403)),
    "listPeople": ("GET", "/people", None, (401, 403, 200, 200)),
    "invitePerson": ("POST", "/people", {"user": "new"}, (401, 403, 403, 409)),
    "linkPerson": ("POST", "/people/person-0/link", None, (401, 403, 403, 409)),
    "removePerson": ("DELETE", "/people/person-0", None, (401, 403, 403, 409)),
    "placePerson": ("PATCH", "/people/by-name/ada", {"team": "red"}, (401, 403, 403, 409)),
    "changePerson": ("PATCH", "/people/person-0", {"team": "red"}, (401, 403, 403, 404)),
    "getUsage": ("GET", "/usage", None, (401, 200, 200, 200)),
    "listUsedRequests": ("GET", "/usage/requests", None, (401, 200, 200, 200)),
    "getCosts": ("GET", "/costs", None, (401, 200, 200, 200)),
    "listAudit": ("GET", "/audit", None, (401, 403, 403, 200)),
}
CALLERS = (None, "red", "operator", "admin")

# What a member of red gets for each route that names a key or a team, when these are blue's.
FOREIGN = {
    "getKey": ("GET", "/keys/KEY", 404),
    "rotateKey": ("POST", "/keys/KEY/rotate", 404),
    "revokeKey": ("DELETE", "/keys/KEY", 404),
    "listKeyBudgets": ("GET", "/keys/KEY/budgets", 404),
    "listKeys": ("GET", "/keys?team=blue", 403),
    "getTeam": ("GET", "/teams/blue", 404),
    "listTeamBudgets": ("GET", "/teams/blue/budgets", 404),
    "getUsage": ("GET", "/usage?team=blue", 403),
    "listUsedRequests": ("GET", "/usage/requests?team=blue", 403),
    "getCosts": ("GET", "/costs?team=blue", 403),
}
MEMBERS_MAY_READ = {n: r[1] for n, r in ROUTES.items() if r[0] == "GET" and r[3][1] == 200}


@pytest.mark.parametrize("operation", ROUTES)
def test_each_role_gets_what_the_table_says(lasting_api: Api, operation: str) -> None:
    """The same request with no key, and with a key of each role."""
    method, path, body, expected = ROUTES[operation]
    path = path.replace("KEY", lasting_api.ids["spare"])
    got = tuple(lasting_api.ask(method, path, who, json=body).status_code for who in CALLERS)
    assert got == expected


def test_the_table_has_every_route(lasting_api: Api) -> None:
    """A route that nobody thought about is not in the table, and this fails."""
    document = lasting_api.ask("GET", "/openapi.json", None).json()
    operations = {o["operationId"]: o for path in document["paths"].values() for o in path.values()}
    assert set(operations) == set(ROUTES)
    needed = {name: operation.get("x-aiplat-role") for name, operation in operations.items()}
    doors = {(401, 403, 403): "admin", (401, 403): "operator", (401,): "member", (): None}
    for name, (_, _, _, statuses) in ROUTES.items():
        # Their rules are finer: a member may rotate its own key, a person make and revoke its own ones.
        if name not in {"rotateKey", "revokeKey", "createMyKey"}:
            assert needed[name] == doors[tuple(s for s in statuses if s in {401, 403})], name


@pytest.mark.parametrize("operation", FOREIGN)
def test_a_member_does_not_reach_what_is_another_teams(api: Api, operation: str) -> None:
    """It is refused, or as if it were not there, and nothing of it is reported."""
    method, path, expected = FOREIGN[operation]
    answer = api.ask(method, path.replace("KEY", api.ids["blue"]), "red")
    assert answer.status_code == expected
    assert "model-of-blue" not in answer.text


@pytest.mark.parametrize("operation", MEMBERS_MAY_READ)
def test_nothing_a_member_reads_is_another_teams(api: Api, operation: str) -> None:
    """No answer to a member of red has a key, team or model of blue in it."""
    answer = api.ask("GET", MEMBERS_MAY_READ[operation].replace("KEY", api.ids["spare"]), "red")
    assert answer.status_code == 200
    assert [word for word in ('"blue"', api.ids["blue"], "model-of-blue") if word in answer.text] == []


def test_a_member_sees_its_own_teams_usage_and_no_more(api: Api) -> None:
    """The sums are those of its team; an operator's are everybody's."""
    path = "/usage?groupBy=team&groupBy=model"
    mine = api.ask("GET", path, "red").json()["lines"]
    assert [(line["team"], line["requests"]) for line in mine] == [("red", 2)]
    everybodys = api.ask("GET", path, "operator").json()["lines"]
    assert [(line["team"], line["requests"]) for line in everybodys] == [("blue", 1), ("red", 2)]
    assert api.ask("GET", "/costs", "red").json()["total"] == "0.003"
    assert api.ask("GET", "/costs", "admin").json()["total"] == "0.0045"


def test_a_member_without_a_team_sees_no_usage(api: Api) -> None:
    """No team is not all teams."""
    for path in ("/usage", "/usage/requests", "/costs", "/keys"):
        assert api.ask("GET", path, "loner").status_code == 403
    assert api.ask("GET", "/teams", "loner").json() == {"teams": []}


def test_a_member_may_rotate_its_own_key(api: Api) -> None:
    """The old secret ends at once, the new one works."""
    rotated = api.ask("POST", f"/keys/{api.ids['red']}/rotate", "red")
    assert rotated.status_code == 200
    assert api.ask("GET", "/planes", "red").status_code == 401
    api.secrets["red"] = rotated.json()["secret"]
    assert api.ask("GET", "/planes", "red").status_code == 200


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer sk-aiplat-guessed"])
def test_without_a_good_key_nothing_is_told(api: Api, sent: str) -> None:
    """Neither what there is, nor which paths exist, nor whether the body would have been right."""
    for path in ("/site", "/no/such/path", "/keys"):
        answer = api.ask("POST", path, None, headers={"authorization": sent}, content=b"{")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "urn:aiplat:problem:no-key"
