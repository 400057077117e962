"""Forms about people of the site's own sign-in: added, put into groups, locked, given a link, removed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from aiplat.services.people.desk import desk_of
from aiplat.services.portal.pages.forms import Here, Sent, Signed
from aiplat.services.portal.pages.people_shown import people_page
from aiplat.services.store.faults import not_there
from aiplat.services.store.keys import ROLES

router = APIRouter(prefix="/people")

_SEE_OTHER = 303


@router.post("/add")
async def add(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:
    """Add a person; the link with which they set a password is on this page and nowhere else."""
    made = await desk_of(here.entry, here.database).invite(
        visitor.id,
        form.get("name", "").strip(),
        _groups(form),
        email=form.get("email", "").strip() or None,
        full_name=form.get("full-name", "").strip() or None,
    )
    return await people_page(request, here, invited=made)


@router.post("/groups")
async def groups(here: Here, visitor: Signed, form: Sent) -> Response:
    """Put a person into groups; those that the page does not show stay."""
    desk, person = desk_of(here.entry, here.database), form.get("person", "")
    account = (await desk.everybody()).get(person)
    if account is None:
        raise not_there("person", person)
    others = tuple(group for group in account.groups if group not in ROLES)
    await desk.set_groups(visitor.id, person, (*_groups(form), *others))
    return RedirectResponse("/people", _SEE_OTHER)


@router.post("/lock")
async def lock(here: Here, visitor: Signed, form: Sent) -> Response:
    """Lock a person out, or let them in again."""
    desk = desk_of(here.entry, here.database)
    await desk.set_locked(visitor.id, form.get("person", ""), form.get("locked") == "yes")
    return RedirectResponse("/people", _SEE_OTHER)


@router.post("/link")
async def link(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:
    """Make a new link for a person; it is on this page and nowhere else."""
    made = await desk_of(here.entry, here.database).link(visitor.id, form.get("person", ""))
    return await people_page(request, here, invited=made)


@router.post("/remove")
async def remove(here: Here, visitor: Signed, form: Sent) -> Response:
    """Remove a person for good, with the keys that they made."""
    await desk_of(here.entry, here.database).remove(visitor.id, form.get("person", ""))
    return RedirectResponse("/people", _SEE_OTHER)


def _groups(form: dict[str, str]) -> tuple[str, ...]:
    return tuple(role for role in ROLES if f"group-{role}" in form)
