"""Who asks and what they may: keys, people, roles, teams; what a route needs is said at the route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from aiplat.errors import AiplatError, Finding
from aiplat.services.api.problems import FORBIDDEN, NO_KEY, ApiProblem, answer, refusal_of
from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.verify import TokenRefusedError, looks_like_token
from aiplat.services.people.desk import desk_of
from aiplat.services.store.database import Database
from aiplat.services.store.keys import Role, find_key, reaches

PREFIX = "/api/v1"
OPEN_PATHS = frozenset({f"{PREFIX}/health", f"{PREFIX}/openapi.json"})
"""What is answered without a key: whether the service is there, and how to ask it."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="aiplat"'}


@dataclass(frozen=True)
class Caller:
    """Who asks: the id of a key or of a person, what it is called, its role and its team (empty: none).

    `old_secret` says that the key has another secret by now, and this one is in its grace.
    """

    id: str
    role: Role
    team: str
    name: str = ""
    source: Literal["key", "person"] = "key"
    old_secret: bool = False

    def __str__(self) -> str:
        """Return who this is in a sentence."""
        return self.id if self.source == "person" else f"key {self.id}"

    @property
    def owner(self) -> str:
        """Whose keys are the caller's own; empty where a key asks."""
        return self.id if self.source == "person" else ""

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
            raise self.without_team()
        if team not in {None, self.team}:
            fix = f"leave `team` out, or ask for {self.team}"
            raise ApiProblem(FORBIDDEN, Finding(str(self), f"may see {self.team} alone", fix))
        return self.team

    def without_team(self) -> ApiProblem:
        """Return the refusal of what belongs to a team."""
        fix = "ask an admin for a key of your team"
        if self.owner:
            fix = "ask an admin to put you into one"
        return ApiProblem(FORBIDDEN, Finding(str(self), "belongs to no team", fix))


class KeyFirst:
    """Asks who it is before anything else is read: without that, not even which paths exist is reported.

    `entry` is the site's sign-in, whose tokens do beside keys.
    """

    def __init__(self, app: ASGIApp, database: Database, entry: Entry | None = None) -> None:
        self._app = app
        self._database = database
        self._entry = entry
        managed = entry is not None and entry.sign_in.people
        self._confirmed = desk_of(entry, database).confirmed if managed else None

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
            return await self._known(secret.strip())
        except TokenRefusedError as error:
            raise ApiProblem(NO_KEY, error.findings, _CHALLENGE) from error
        except AiplatError as error:
            raise refusal_of(error) from error

    async def _known(self, secret: str) -> Caller:
        if self._entry is not None and looks_like_token(secret):
            person = await self._entry.person(secret, self._database, self._confirmed)
            if person.role is None:
                problem = "is in none of the groups that may use this site"
                raise ApiProblem(FORBIDDEN, Finding(person.name, problem, "ask an admin of the sign-in"))
            return Caller(person.id, person.role, person.team, person.name, "person")
        known = await find_key(self._database, secret)
        if known is None:
            finding = Finding(
                "authorization",
                "this key is not known, was revoked, or is past its time",
                "ask an admin for another",
            )
            raise ApiProblem(NO_KEY, finding, _CHALLENGE)
        return Caller(known.id, known.role, known.team, known.name, old_secret=known.old_secret)


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
            raise ApiProblem(FORBIDDEN, Finding(str(caller), problem, "ask an admin"))


def needs(role: Role) -> dict[str, Any]:
    """Return what makes a route need a role, also in the API's description."""
    return {"dependencies": [Depends(_Needs(role))], "openapi_extra": {"x-aiplat-role": role}}
