"""What is the visitor's own: the key, another secret for it, what it used and what is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from aiplat.errors import BadInput, Finding
from aiplat.services.portal.context import Portal
from aiplat.services.portal.gates import set_session
from aiplat.services.portal.pages.attention import binding
from aiplat.services.portal.pages.forms import Here, Sent, Signed
from aiplat.services.portal.render import page
from aiplat.services.portal.visitors import Visitor
from aiplat.services.store.budgets import budget_states
from aiplat.services.store.faults import not_there
from aiplat.services.store.keys import NewKey, list_keys, revoke_key, rotate_key
from aiplat.services.store.own_keys import create_own_key, keys_of
from aiplat.services.store.people import KnownPerson, playground_key
from aiplat.services.store.usage import UsageQuery, sum_usage

router = APIRouter()

_DAYS = 30


@router.get("/mine")
async def mine(request: Request, here: Here, visitor: Signed) -> Response:
    """Show the key and its team's, or a person's own keys; budgets and usage."""
    return await _page(request, here, visitor)


@router.post("/mine/rotate")
async def rotate(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:  # noqa: ARG001
    """Give the visitor's key another secret, show it this once, and go on with it."""
    if visitor.key is None:
        raise BadInput(Finding("key", "you signed in by name", "rotate one of your own keys"))
    issued = await rotate_key(here.database, visitor.id, visitor.id, timedelta(0))
    session = replace(visitor.session, secret=issued.secret)
    answer = await _page(request, here, visitor, secret=issued.secret)
    set_session(answer, here, session)
    return answer


@router.post("/mine/keys")
async def make(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:
    """Make a key of a person's own; its secret is on this page and nowhere else."""
    key = NewKey(name=form.get("name", "").strip())
    issued = await create_own_key(here.database, _person(visitor), key)
    return await _page(request, here, visitor, secret=issued.secret)


@router.post("/mine/keys/rotate")
async def rotate_own(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:
    """Give one of a person's own keys another secret, and show it this once."""
    named = await _own(here, visitor, form)
    issued = await rotate_key(here.database, named, visitor.id, timedelta(0))
    return await _page(request, here, visitor, secret=issued.secret)


@router.post("/mine/keys/revoke")
async def revoke_own(here: Here, visitor: Signed, form: Sent) -> Response:
    """End one of a person's own keys for good."""
    await revoke_key(here.database, await _own(here, visitor, form), visitor.id)
    return RedirectResponse("/mine", HTTPStatus.SEE_OTHER)


def _person(visitor: Visitor) -> KnownPerson:
    if visitor.person is None:
        raise BadInput(Finding("key", "a key makes none of its own", "sign in by name, or ask an admin"))
    return visitor.person


async def _own(here: Portal, visitor: Visitor, form: dict[str, str]) -> str:
    """Return the key that a form names, which must be one of the visitor's own and not the playground's."""
    person, named = _person(visitor), form.get("key", "")
    if named == playground_key(person.id) or named not in {
        k.id for k in await keys_of(here.database, person)
    }:
        raise not_there("key", named)
    return named


async def _page(request: Request, here: Portal, visitor: Visitor, secret: str = "") -> Response:
    if visitor.person is not None:
        return await _page_of_person(request, here, visitor, visitor.person, secret)
    since = datetime.now(UTC) - timedelta(days=_DAYS)
    query = UsageQuery(since=since, key=visitor.id, group_by=("model",))
    team = await list_keys(here.database, team=visitor.team) if visitor.team else []
    return page(
        request,
        "mine.html",
        secret=secret,
        days=_DAYS,
        budgets=await binding(here, visitor),
        used=await sum_usage(here.database, query),
        team_keys=[key for key in team if key.id != visitor.id],
    )


async def _page_of_person(
    request: Request, here: Portal, visitor: Visitor, person: KnownPerson, secret: str
) -> Response:
    since = datetime.now(UTC) - timedelta(days=_DAYS)
    keys = await list_keys(here.database, owner=person.id, revoked=True)
    query = UsageQuery(since=since, keys=tuple(key.id for key in keys), group_by=("key", "model"))
    living = [key for key in keys if key.revoked_at is None]
    of_keys = [state for key in living for state in await budget_states(here.database, "key", key.id)]
    return page(
        request,
        "mine-person.html",
        secret=secret,
        days=_DAYS,
        keys=living,
        names={key.id: key.name for key in keys},
        playground=playground_key(person.id),
        budgets=of_keys + await binding(here, visitor),
        used=await sum_usage(here.database, query),
    )
