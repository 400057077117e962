"""Whatever goes wrong is a problem document with findings; every answer has its security headers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from aiplat.services.api.problems import Problem
from aiplat.services.bounds import API_ANSWER_PARTS, API_BODY_BYTES
from tests.services.api.conftest import Api, Place


def problem(answer: httpx.Response) -> Problem:
    """Return the problem that an answer is, whole and in its own media type."""
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(answer.text)
    assert found.status == answer.status_code
    assert found.instance == answer.request.url.path
    assert found.findings
    assert found.request_id == answer.headers["x-request-id"]
    return found


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/no/such/path", 404, "not-found"),
        ("PUT", "/site", 405, "method-not-allowed"),
        ("GET", "/planes/astral", 404, "not-found"),
        ("GET", "/keys/key-unknown", 404, "not-found"),
        ("GET", "/runs/..%2f..%2fvault.yml", 404, "not-found"),
        ("GET", "/runs/not-an-id", 422, "invalid"),
        ("GET", "/usage?since=yesterday", 422, "invalid"),
        ("GET", "/usage?sinse=2026-01-01T00:00:00Z", 422, "invalid"),
        ("POST", "/runs", 422, "invalid"),
    ],
)
def test_each_error_is_a_problem(api: Api, method: str, path: str, status: int, kind: str) -> None:
    """One shape, whoever refuses: the router, the framework, an action, the store."""
    found = problem(api.ask(method, path))
    assert (found.status, found.type) == (status, f"urn:aiplat:problem:{kind}")


def test_a_site_file_that_is_wrong_is_said_with_its_lines(api: Api, place: Place) -> None:
    """The findings are those of `aiplat site check`; the API continues and reads the file again."""
    right = place.file.read_text()
    place.file.write_text(right + "modles: []\n")
    found = problem(api.ask("GET", "/site"))
    assert (found.status, found.type) == (503, "urn:aiplat:problem:site-unusable")
    assert 'did you mean "models"?' in found.findings[0].fix
    place.file.write_text(right)
    assert api.ask("GET", "/site").status_code == 200


def test_a_database_that_does_not_answer_is_503(api: Api, place: Place) -> None:
    """Without its address, and with when to come back; the health check says the same."""
    (place.folder / "accounts.db").rename(place.folder / "away")
    api._loop.run(api.database.close())
    Path(place.folder / "accounts.db").mkdir()
    for path in ("/health", "/site"):
        answer = api.ask("GET", path)
        assert problem(answer).type == "urn:aiplat:problem:unavailable"
        assert answer.headers["retry-after"]
        assert "accounts.db" not in answer.text


def test_a_request_that_is_too_large_is_not_read(api: Api) -> None:
    """Whether it says its size or not."""
    sent = {"content": b"x" * (API_BODY_BYTES + 1), "headers": {"content-type": "application/json"}}
    assert problem(api.ask("POST", "/keys", **sent)).status == 413

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 4096

    unsaid = {"content": endless(), "headers": {"content-type": "application/json"}}
    assert problem(api.ask("POST", "/keys", **unsaid)).status == 413
    fits = json.dumps({"name": "x" * 60_000})
    sent = {"content": fits, "headers": {"content-type": "application/json"}}
    assert problem(api.ask("POST", "/keys", **sent)).status == 422


@pytest.mark.parametrize("path", ["/audit", "/usage/requests"])
def test_a_page_has_only_so_many_rows(api: Api, path: str) -> None:
    """One more is refused; so many are not."""
    assert api.ask("GET", f"{path}?limit={API_ANSWER_PARTS}").status_code == 200
    assert problem(api.ask("GET", f"{path}?limit={API_ANSWER_PARTS + 1}")).status == 422


def test_an_error_of_our_own_tells_nothing_but_that_it_was_ours(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets a problem, the log gets the trace."""
    monkeypatch.setattr("aiplat.services.api.routes.site.status", lambda _site: 1 / 0)
    answer = api.ask("GET", "/planes")
    assert problem(answer).type == "urn:aiplat:problem:failed"
    assert "division" not in answer.text
    assert "ZeroDivisionError" in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/health", "/site", "/no/such/path", "/openapi.json"])
def test_every_answer_has_its_security_headers(api: Api, path: str) -> None:
    """Good or bad, with a key or without."""
    headers = api.ask("GET", path, None).headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


def test_there_are_no_pages_that_load_from_elsewhere(api: Api) -> None:
    """The framework's own documentation pages come from a public content network."""
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert api.ask("GET", path).status_code == 404
        assert api.ask("GET", f"/..{path}").status_code == 404
    assert FastAPI().docs_url == "/docs", "what is switched off is what would be there"
