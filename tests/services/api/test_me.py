"""/me: a key is told what it may do, has left and used, and nothing of others."""

from __future__ import annotations

import pytest

from tests.services.api.conftest import Api


def test_a_key_is_told_what_it_is_and_what_it_has_left(api: Api) -> None:
    """Its own budgets and its team's, both of which bind it; amounts are exact and never below 0."""
    api.ask(
        "PUT", f"/keys/{api.ids['red']}/budgets", json={"unit": "money", "period": "month", "limit": "2.5"}
    )
    api.ask("PUT", "/teams/red/budgets", json={"unit": "requests", "period": "day", "limit": 0})
    mine = api.ask("GET", "/me", "red").json()
    assert (mine["key"]["id"], mine["team"]["name"], mine["oldSecret"]) == (api.ids["red"], "red", False)
    left = [(b["scope"], b["unit"], b["limit"], b["used"], b["left"]) for b in mine["budgets"]]
    assert left == [("key", "money", "2.5", "0", "2.5"), ("team", "requests", "0", "0", "0")]


def test_a_key_without_a_team_is_told_of_itself(api: Api) -> None:
    """Where what belongs to a team is refused, this is not."""
    mine = api.ask("GET", "/me", "loner").json()
    assert (mine["team"], mine["budgets"], mine["key"]["role"]) == (None, [], "member")
    assert [line["requests"] for line in api.ask("GET", "/me/usage", "loner").json()["lines"]] == [0]


def test_a_key_is_told_what_it_used_alone(api: Api) -> None:
    """Not what others of its team used; added up by day and model, and with its price."""
    assert [line["requests"] for line in api.ask("GET", "/me/usage", "spare").json()["lines"]] == [0]
    lines = api.ask("GET", "/me/usage?groupBy=day&groupBy=model", "red").json()["lines"]
    assert [(line["day"], line["model"], line["requests"], line["cost"]) for line in lines] == [
        ("2026-01-01", "model-of-red", 1, "0.0015"),
        ("2026-01-02", "model-of-red", 1, "0.0015"),
    ]
    later = api.ask("GET", "/me/usage?since=2026-01-02T00:00:00Z", "red").json()["lines"]
    assert [line["requests"] for line in later] == [1]


@pytest.mark.parametrize("asked", ["groupBy=team", "key=key-0", "team=blue", "groupBy=key"])
def test_what_is_somebody_elses_cannot_be_asked_for(api: Api, asked: str) -> None:
    """There is no word for another key or team."""
    assert api.ask("GET", f"/me/usage?{asked}", "red").status_code == 422


def test_an_old_secret_is_told_that_it_is_one(api: Api) -> None:
    """A client in its grace can see that it must change its secret."""
    api.ask("POST", f"/keys/{api.ids['red']}/rotate", json={"graceSeconds": 60})
    assert api.ask("GET", "/me", "red").json()["oldSecret"] is True
