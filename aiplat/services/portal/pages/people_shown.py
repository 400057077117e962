"""What the page "Teams and people" shows: teams, keys, who signed in and who may; forms are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from fastapi.responses import Response

from aiplat.errors import BadInput, Finding
from aiplat.services.people.desk import Desk, desk_of
from aiplat.services.people.directory import Account, DirectoryAwayError, Invitation
from aiplat.services.portal.context import Portal
from aiplat.services.portal.render import page
from aiplat.services.store.awaited import list_awaited
from aiplat.services.store.keys import ROLES, IssuedKey, Role, list_keys
from aiplat.services.store.people import list_people
from aiplat.services.store.teams import list_teams


@dataclass(frozen=True)
class PersonRow:
    """A line of the table; `account` is None where the site's own sign-in does not know the person."""

    id: str
    name: str
    role: Role | None
    team: str
    last_seen: datetime | None
    account: Account | None

    @property
    def state(self) -> str:
        """What may be said of the person in a word."""
        if self.account is not None:
            return self.account.state
        return "awaited" if self.last_seen is None else "may enter" if self.role else "may not enter"


async def people_page(
    request: Request, here: Portal, *, issued: IssuedKey | None = None, invited: Invitation | None = None
) -> Response:
    """Return the page; `issued` and `invited` hold a secret that is shown this once."""
    rows, elsewhere = await _people(here)
    return page(
        request,
        "people.html",
        teams=await list_teams(here.database),
        keys=await list_keys(here.database),
        people=rows,
        groups=ROLES,
        elsewhere=elsewhere,
        awaits=here.entry is not None and not here.entry.sign_in.people,
        issued=issued,
        invited=invited,
    )


async def _people(here: Portal) -> tuple[list[PersonRow], tuple[Finding, ...]]:
    """Return everybody, and why they cannot be managed here where they cannot."""
    accounts: dict[str, Account] = {}
    elsewhere: tuple[Finding, ...] = ()
    desk: Desk | None = None
    try:
        desk = desk_of(here.entry, here.database)
        accounts = await desk.everybody()
    except (BadInput, DirectoryAwayError) as error:
        elsewhere = error.findings
    rows = [
        PersonRow(p.id, p.name, p.role, p.team, p.last_seen, accounts.pop(p.id, None))
        for p in await list_people(here.database)
    ]
    awaited = {one.id: one for one in await list_awaited(here.database)}
    for named, one in accounts.items() if desk else ():
        kept = awaited.pop(named, None)
        role = desk.role_of(one) if desk else None
        rows.append(PersonRow(named, one.name, role, kept.team if kept else "", None, one))
    rows += [PersonRow(one.id, one.name, None, one.team, None, None) for one in awaited.values()]
    return sorted(rows, key=lambda row: (row.name.lower(), row.id)), elsewhere
