"""An API that schemathesis makes requests to from its description; what comes of them is for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.services.api.conftest import PREFIX, Api


class Front:
    """Stands where the application will be when tests run: they are made of its description before."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.secret = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application of the moment answer."""
        await self.app(scope, receive, send)

    @contextmanager
    def leads_to(self, api: Api) -> Iterator[None]:
        """Have an API of the test's own answer, asked with its admin's key."""
        before = self.app, self.secret
        self.app, self.secret = api.app, api.secrets["admin"]
        yield
        self.app, self.secret = before


def schema_of(front: Front) -> Any:
    """Return the description of what is behind the front; requests made from it have its key.

    Schemathesis leaves the key out where it looks whether it is needed.
    """
    schema = schemathesis.openapi.from_asgi(f"{PREFIX}/openapi.json", front)

    @schema.auth()
    class _AsAdmin:
        def get(self, _case: schemathesis.Case, _context: schemathesis.AuthContext) -> str:
            return front.secret

        def set(self, case: schemathesis.Case, data: str, _context: schemathesis.AuthContext) -> None:
            case.headers["authorization"] = f"Bearer {data}"

    return schema


def tried(examples: int) -> settings:
    """Return how requests are made: so many of each kind, the same every time."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
