"""Keys, teams, budgets, usage and the audit trail over HTTP; secrets are shown once and kept nowhere."""

from __future__ import annotations

import logging

import pytest

from tests.patience import eventually
from tests.services.api.conftest import Api, Place
from tests.services.api.test_runs import state_of


def test_a_key_lives_from_its_making_to_its_end(api: Api) -> None:
    """Made, changed, rotated with a grace, revoked; each is seen at once."""
    made = api.ask("POST", "/keys", json={"name": "ci", "team": "red", "models": ["gemma3:*"]})
    assert made.status_code == 201
    key, secret = made.json()["key"], made.json()["secret"]
    assert secret.startswith("sk-aiplat-")
    assert (key["team"], key["role"], key["models"]) == ("red", "member", ["gemma3:*"])
    path = made.headers["location"].removeprefix("/api/v1")
    assert api.ask("GET", path).json() == key

    changed = api.ask("PATCH", path, json={"requestsPerMinute": 60, "models": []}).json()
    assert (changed["requestsPerMinute"], changed["models"], changed["name"]) == (60, [], "ci")
    assert api.ask("PATCH", path, json={"requestsPerMinute": None}).json()["requestsPerMinute"] is None

    api.secrets["old"] = secret
    api.secrets["new"] = api.ask("POST", f"{path}/rotate", json={"graceSeconds": 60}).json()["secret"]
    assert [api.ask("GET", "/planes", who).status_code for who in ("old", "new")] == [200, 200]
    assert api.ask("DELETE", path).json()["revokedAt"]
    assert [api.ask("GET", "/planes", who).status_code for who in ("old", "new")] == [401, 401]
    assert key["id"] not in api.ask("GET", "/keys").text
    assert key["id"] in api.ask("GET", "/keys?revoked=true").text


def test_an_admin_does_not_end_the_key_in_its_hand(api: Api) -> None:
    """There is always one left with which another can be made."""
    refused = api.ask("DELETE", f"/keys/{api.ids['admin']}")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:aiplat:problem:conflict")
    assert api.ask("GET", "/site").status_code == 200


def test_what_a_key_cannot_be_is_said_at_once(api: Api) -> None:
    """Every finding names its field, and what was sent is not repeated."""
    wrong = {"name": "", "role": "king", "models": ["\n"], "expiresAt": "tomorrow", "sk-aiplat-secret": 1}
    refused = api.ask("POST", "/keys", json=wrong)
    places = {f["where"] for f in refused.json()["findings"]}
    assert refused.status_code == 422
    assert {"body.name", "body.role", "body.models.0", "body.expiresAt"} <= places
    assert "king" not in refused.text
    unknown = api.ask("POST", "/keys", json={"name": "x", "team": "nobody"})
    assert (unknown.status_code, unknown.json()["findings"][0]["where"]) == (409, "team")


def test_a_team_has_budgets_and_goes_when_it_has_no_keys(api: Api) -> None:
    """Money is exact; tokens and requests are whole."""
    path = "/teams/red/budgets"
    api.ask("PUT", path, json={"unit": "money", "period": "month", "limit": "12.50"})
    known = api.ask("PUT", path, json={"unit": "requests", "period": "day", "limit": 1000}).json()["budgets"]
    assert [(b["unit"], b["limit"]) for b in known] == [("money", "12.5"), ("requests", "1000")]
    assert api.ask("GET", path, "red").json()["budgets"] == known
    for wrong in (12.5, "1e3", "-1", "1.0000000001"):
        body = {"unit": "money", "period": "day", "limit": wrong}
        assert api.ask("PUT", path, json=body).status_code == 422
    assert api.ask("DELETE", f"{path}/money/month").status_code == 204
    assert api.ask("DELETE", f"{path}/money/month").status_code == 404

    assert api.ask("POST", "/teams", json={"name": "red"}).status_code == 409
    assert api.ask("DELETE", "/teams/red").status_code == 409
    assert api.ask("POST", "/teams", json={"name": "green"}).status_code == 201
    assert api.ask("DELETE", "/teams/green").status_code == 204


def test_usage_is_added_up_and_listed_page_by_page(api: Api) -> None:
    """By day and model, between two moments; single requests newest first, each once."""
    days = api.ask("GET", "/usage?groupBy=day&since=2026-01-02T00:00:00Z").json()["lines"]
    assert [(d["day"], d["promptTokens"]) for d in days] == [("2026-01-02", 10), ("2026-01-03", 10)]
    assert api.ask("GET", "/usage?until=2026-01-02T00:00:00Z").json()["lines"][0]["requests"] == 1
    first = api.ask("GET", "/usage/requests?limit=2").json()["requests"]
    assert [(r["team"], r["cost"]) for r in first] == [("blue", "0.0015"), ("red", "0.0015")]
    rest = api.ask("GET", f"/usage/requests?before={first[-1]['cursor']}").json()["requests"]
    assert [r["at"][:10] for r in rest] == ["2026-01-01"]


def test_a_request_is_found_by_its_ids(api: Api) -> None:
    """By what the gateway called it and by what its client did; what cannot be an id is refused."""
    found = {
        asked: [
            r["requestId"] for r in api.ask("GET", f"/usage/requests?requestId={asked}").json()["requests"]
        ]
        for asked in (f"{1:032x}", "client-1", "client-9")
    }
    assert found == {f"{1:032x}": [f"{1:032x}"], "client-1": [f"{1:032x}"], "client-9": []}
    assert api.ask("GET", "/usage/requests?requestId=a%20b").status_code == 422


def test_what_is_done_stands_in_the_audit_trail(api: Api, place: Place) -> None:
    """Who, what, to which; runs and plans as well as keys."""
    place.go.touch()
    digest = api.plan()
    run = api.ask("POST", "/runs", "operator", json={"planDigest": digest}).json()["id"]
    key = api.ask("POST", "/keys", json={"name": "ci"}).json()["key"]["id"]
    trail = api.ask("GET", "/audit").json()["entries"]
    done = [(e["actor"], e["action"], e["subject"]) for e in trail[:3]]
    assert done == [
        (api.ids["admin"], "key.created", key),
        (api.ids["operator"], "run.start", run),
        (api.ids["admin"], "plan.make", digest),
    ]
    page = api.ask("GET", f"/audit?before={trail[0]['id']}&limit=1").json()["entries"]
    assert [e["action"] for e in page] == ["run.start"]
    eventually(lambda: state_of(api, run) == "done")


def test_secrets_are_in_no_log_event_or_file(
    api: Api, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """After making, using, misplacing and rotating keys, only their hashes can be found."""
    caplog.set_level(logging.DEBUG)
    made = api.ask("POST", "/keys", json={"name": "ci", "role": "operator"}).json()
    api.secrets["ci"] = made["secret"]
    place.go.touch()
    digest = api.ask("POST", "/plans", "ci").json()["digest"]
    run = api.ask("POST", "/runs", "ci", json={"planDigest": digest}).json()["id"]
    api.ask("GET", f"/keys/{made['secret']}")
    wrong = api.ask("POST", "/keys", json={"name": "x", "team": made["secret"], made["secret"]: 1})
    api.secrets["rotated"] = api.ask("POST", f"/keys/{made['key']['id']}/rotate").json()["secret"]
    eventually(lambda: state_of(api, run) == "done")

    assert wrong.status_code == 422
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    assert any(path.name == "events.jsonl" for path in files)
    # The client of this test logs the paths it asks for.
    logged = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith("http"))
    assert "INSERT INTO keys" in logged
    for who, secret in api.secrets.items():
        assert secret not in logged, who
        assert [str(path) for path in files if secret.encode() in path.read_bytes()] == [], who
    assert made["secret"] not in api.ask("GET", "/audit").text


def test_a_secret_in_its_grace_uses_its_key_and_does_not_rotate_it(api: Api) -> None:
    """Whoever has the old one, perhaps because it leaked, cannot outlive the grace by it."""
    made = api.ask("POST", "/keys", json={"name": "app", "team": "red"}).json()
    path = f"/keys/{made['key']['id']}"
    api.secrets["old"] = made["secret"]
    api.secrets["new"] = api.ask("POST", f"{path}/rotate", json={"graceSeconds": 60}).json()["secret"]
    refused = api.ask("POST", f"{path}/rotate", "old", json={})
    assert (refused.status_code, refused.json()["findings"][0]["fix"]) == (403, "rotate with the new one")
    assert [api.ask("GET", path, who).status_code for who in ("old", "new")] == [200, 200]
    assert api.ask("POST", f"{path}/rotate", "new").status_code == 200
