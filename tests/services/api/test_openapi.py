"""The API's description is whole and true: schemathesis makes requests from it and finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from openapi_schema_validator import OAS31Validator

from aiplat.services.api.app import create_app
from aiplat.services.api.dependencies import ApiContext
from aiplat.services.api.reports import Reports
from aiplat.services.store.database import Database
from tests.services.api.conftest import PREFIX, Api
from tests.services.api.described import Front, schema_of, tried

FRONT = Front(create_app(ApiContext(Path(), Database.open("sqlite://"), None, Reports())))
schema = schema_of(FRONT)


@pytest.fixture(scope="module")
def served(lasting_api: Api) -> Iterator[Api]:
    """One API for all requests, as one would meet it that has been used for a while."""
    with FRONT.leads_to(lasting_api):
        yield lasting_api


@pytest.fixture(scope="module")
def description(served: Api) -> dict[str, Any]:
    """The API's own description of itself."""
    document: dict[str, Any] = served.ask("GET", "/openapi.json", None).json()
    return document


@schema.parametrize()
@tried(12)
def test_schemathesis_finds_nothing(case: schemathesis.Case, served: Api) -> None:
    """No server error, no answer that is not described, nothing wrong accepted, nothing right refused."""
    case.call_and_validate()


def operations(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every operation by method and path."""
    return {
        f"{method} {path}": operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_is_described(description: dict[str, Any]) -> None:
    """A name for generated clients, a sentence for people, errors as problem documents."""
    known = operations(description)
    assert len({o["operationId"] for o in known.values()}) == len(known)
    for name, operation in known.items():
        assert operation["description"].strip().endswith("."), name
        assert operation["tags"], name
        errors = {s: r["content"] for s, r in operation["responses"].items() if int(s) >= 400}
        assert all(list(content) == ["application/problem+json"] for content in errors.values()), name
        assert ("401" in errors) == (name != f"get {PREFIX}/health"), name


def test_examples_in_the_description_are_right(description: dict[str, Any]) -> None:
    """Whoever copies one gets something that the API takes."""
    seen = 0
    for name, schema in description["components"]["schemas"].items():
        for field, rule in schema.get("properties", {}).items():
            for example in rule.get("examples", []):
                part = {**rule, "components": description["components"]}
                assert OAS31Validator(part).is_valid(example), f"{name}.{field}"
                seen += 1
    assert seen > 10
