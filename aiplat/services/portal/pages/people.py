"""Who may use the site: teams and keys; made and ended by admins."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from aiplat.errors import BadInput, Finding
from aiplat.services.people.placing import Placing
from aiplat.services.portal.pages.forms import Here, Sent, Signed
from aiplat.services.portal.pages.people_shown import people_page
from aiplat.services.store.keys import NewKey, create_key, revoke_key
from aiplat.services.store.teams import NewTeam, create_team

router = APIRouter()

_SEE_OTHER = 303


@router.get("/people")
async def people(request: Request, here: Here) -> Response:
    """Show every team and key."""
    return await people_page(request, here)


@router.post("/people/teams")
async def make_team(here: Here, visitor: Signed, form: Sent) -> Response:
    """Make a team."""
    team = NewTeam(name=form.get("name", "").strip(), description=form.get("description", "").strip())
    await create_team(here.database, team, visitor.id)
    return RedirectResponse("/people", _SEE_OTHER)


@router.post("/people/keys")
async def make_key(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:
    """Make a key; its secret is on this page and nowhere else."""
    key = NewKey(
        name=form.get("name", "").strip(),
        team=form.get("team", ""),
        role=form.get("role", "member"),  # type: ignore[arg-type] # the store refuses others
    )
    return await people_page(request, here, issued=await create_key(here.database, key, visitor.id))


@router.post("/people/revoke")
async def revoke(here: Here, visitor: Signed, form: Sent) -> Response:
    """End a key for good; it is refused everywhere within 2 seconds."""
    key = form.get("key", "")
    if key == visitor.id:
        fix = "have another admin do it"
        raise BadInput(Finding(f"key {key}", "is the one that you are signed in with", fix))
    await revoke_key(here.database, key, visitor.id)
    return RedirectResponse("/people", _SEE_OTHER)


@router.post("/people/team")
async def put(here: Here, visitor: Signed, form: Sent) -> Response:
    """Put a person into a team, with the keys that are the person's own, or before the first sign-in."""
    placing = Placing.of(here.entry, here.database)
    await placing.by_id(visitor.id, form.get("person", ""), form.get("team", ""))
    return RedirectResponse("/people", _SEE_OTHER)


@router.post("/people/await")
async def expect(here: Here, visitor: Signed, form: Sent) -> Response:
    """Put somebody into a team by the name that they will sign in with."""
    placing = Placing.of(here.entry, here.database)
    await placing.by_name(visitor.id, form.get("name", "").strip(), form.get("team", ""))
    return RedirectResponse("/people", _SEE_OTHER)
