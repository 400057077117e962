"""The API in the site: the same routes of keys, teams and usage over the database alone, and no others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis

from aiplat.services.api.in_site import create_in_site_app
from aiplat.services.store.database import Database
from tests.services.api.conftest import Api, People, Place
from tests.services.api.described import Front, schema_of, tried
from tests.services.api.test_access import CALLERS, ROUTES

ELSEWHERE = {"site", "planes", "models", "checks", "plans", "runs", "catalog"}


class InSite(Api):
    """The application as it is in the site."""

    def __init__(self, place: Place, people: People) -> None:
        super().__init__(place, people, None)
        self.app = create_in_site_app(self.database)


FRONT = Front(create_in_site_app(Database.open("sqlite://")))
schema = schema_of(FRONT)


@pytest.fixture
def in_site(place: Place, people: People) -> Iterator[InSite]:
    """An API of the test's own."""
    api = InSite(place, people)
    yield api
    api.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, people: People) -> Iterator[InSite]:
    """One API for all requests that schemathesis makes."""
    api = InSite(Place(tmp_path_factory.mktemp("site")), people)
    with FRONT.leads_to(api):
        yield api
    api.close()


# The routes themselves are tried with more where all of them are.
@schema.parametrize()
@tried(1)
def test_schemathesis_finds_nothing(case: schemathesis.Case, served: InSite) -> None:
    """No server error, no answer that is not described, nothing wrong accepted, nothing right refused."""
    case.call_and_validate()


def test_every_route_answers_each_role_as_the_other_api_does_or_says_where_it_is_answered(
    in_site: InSite,
) -> None:
    """Who has no key learns nothing in either; hosts and the site file are nobody's here."""
    described = in_site.ask("GET", "/openapi.json", None).json()["paths"]
    known = {o["operationId"] for methods in described.values() for o in methods.values()}
    here = {name for name, (_, path, *_) in ROUTES.items() if path.split("/")[1] not in ELSEWHERE}
    assert known == here
    for name, (method, path, body, statuses) in ROUTES.items():
        for who, status in zip(CALLERS, statuses, strict=True):
            asked = path.replace("KEY", in_site.ids["spare"])
            answer = in_site.ask(method, asked, who, json=body)
            expected = status if name in here or who is None else 409
            assert answer.status_code == expected, (name, who, answer.text)


def test_a_run_is_refused_with_where_it_is_made(in_site: InSite) -> None:
    """The sentence names the command."""
    problem = in_site.ask("POST", "/runs", json={"planDigest": "sha256:0"}).json()
    assert problem["type"] == "urn:aiplat:problem:runs-elsewhere"
    assert "`aiplat bootstrap`" in problem["detail"]
    assert in_site.ask("GET", "/health", None).json() == {"status": "ok", "runs": "elsewhere"}


def test_a_path_that_neither_api_knows_is_not_found(in_site: InSite) -> None:
    """It needs no host, so it does not matter where the SSH keys are."""
    assert in_site.ask("GET", "/nothing").status_code == 404
