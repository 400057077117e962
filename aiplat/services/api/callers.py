"""Who asks and what they may: keys, roles, teams; what a route needs is said at the route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from aiplat.errors import Finding
from aiplat.services.api.problems import FORBIDDEN, NO_KEY, ApiProblem, answer, refusal_of
from aiplat.services.store.database import Database
from aiplat.services.store.faults import Unreachable
from aiplat.services.store.keys import Role, find_key, reaches

PREFIX = "/api/v1"
OPEN_PATHS = frozenset({f"{PREFIX}/health", f"{PREFIX}/openapi.json"})
"""What is answered without a key: whether the service is there, and how to ask it."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="aiplat"'}


@dataclass(frozen=True)
class Caller:
    """Who asks: the id of the key, its role and its team (empty: none).

    `old_secret` says that the key has another secret by now, and this one is in its grace.
    """

    key: str
    role: Role
    team: str
    old_secret: bool = False

    def has(self, role: Role) -> bool:
        """Whether the caller has at least this role."""
        return reaches(self.role, role)

    def team_asked(self, team: str | None) -> str | None:
        """Return the team whose things are shown when `team` (None: all) was asked for.

        Raises:
            ApiProblem: a member asked for another team's, or belongs to none.
        """
        if self.has("operator"):
            return team
        if not self.team:
            fix = "ask an admin for a key of your team"
            raise ApiProblem(FORBIDDEN, Finding(f"key {self.key}", "belongs to no team", fix))
        if team not in {None, self.team}:
            fix = f"leave `team` out, or ask for {self.team}"
            raise ApiProblem(FORBIDDEN, Finding(f"key {self.key}", f"may see {self.team} alone", fix))
        return self.team


class KeyFirst:
    """Asks for a key before anything else is read: without one, not even which paths exist is reported."""

    def __init__(self, app: ASGIApp, database: Database) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._caller(Request(scope))
        except ApiProblem as refusal:
            await answer(refusal, scope["path"])(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, request: Request) -> Caller:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            fix = "send it as `Authorization: Bearer …`"
            raise ApiProblem(NO_KEY, Finding("authorization", "there is no API key", fix), _CHALLENGE)
        try:
            known = await find_key(self._database, secret.strip())
        except Unreachable as error:
            raise refusal_of(error) from error
        if known is None:
            problem = "this key is not known, was revoked, or is past its time"
            raise ApiProblem(
                NO_KEY, Finding("authorization", problem, "ask an admin for another"), _CHALLENGE
            )
        return Caller(known.id, known.role, known.team, known.old_secret)


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Asking = Annotated[Caller, Depends(_caller)]
"""The parameter of a route that wants to know who asks."""


class _Needs:
    """Refuses callers below a role."""

    def __init__(self, role: Role) -> None:
        self._role = role

    async def __call__(self, caller: Asking) -> None:
        if not caller.has(self._role):
            problem = f"has the role {caller.role}, and this needs {self._role}"
            raise ApiProblem(FORBIDDEN, Finding(f"key {caller.key}", problem, "ask an admin"))


def needs(role: Role) -> dict[str, Any]:
    """Return what makes a route need a role, also in the API's description."""
    return {"dependencies": [Depends(_Needs(role))], "openapi_extra": {"x-aiplat-role": role}}
