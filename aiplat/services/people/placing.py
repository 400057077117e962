"""Putting people into teams, by id or by name, whether they signed in already or will."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from aiplat.errors import Finding
from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.settings import SignIn
from aiplat.services.people.directory import Directory
from aiplat.services.store.awaited import Awaited, await_in_team, awaited_id, list_awaited
from aiplat.services.store.database import Database
from aiplat.services.store.faults import NotThere, bad, not_there
from aiplat.services.store.people import list_people, person_id, put_into_team

_LONGEST_NAME = 100


@dataclass(frozen=True)
class Placing:
    """Where an admin puts people into teams; who did not sign in yet comes into theirs at the first sign-in.

    `sign_in` is None where nobody signs in by name, `directory` where a company knows who there is.
    """

    database: Database
    sign_in: SignIn | None = None
    directory: Directory | None = None

    @classmethod
    def of(cls, entry: Entry | None, database: Database) -> Placing:
        """Return it for a sign-in, or for none."""
        if entry is None:
            return cls(database)
        managed = entry.sign_in.people
        return cls(database, entry.sign_in, Directory(managed, entry.client) if managed else None)

    async def by_id(self, actor: str, person: str, team: str) -> None:
        """Put somebody of whom the id is known into a team, empty: into none.

        Raises:
            NotThere: nobody has this id, here, at the sign-in or among those who are awaited.
            BadInput: the team is not there, or keys without one would be left.
            DirectoryAwayError, Unreachable: one that is to be asked does not answer.
        """
        try:
            await put_into_team(self.database, person, team, actor)
        except NotThere:
            known = {one.id: one.name for one in await list_awaited(self.database)}
            if person not in known:
                known = {at: name for name, at in (await self._accounts()).items()}
            if self.sign_in is None or person not in known:
                raise
            await self._await(actor, person, known[person], team)

    async def by_name(self, actor: str, name: str, team: str) -> str:
        """Put somebody into a team by the name that they sign in with; return the id that they have here.

        The site's own sign-in knows who there is; a company's is believed when they come.

        Raises:
            NotThere: the site's own sign-in knows nobody of that name.
            BadInput: as `by_id`; or nobody signs in by name here, or several do by this one.
            DirectoryAwayError, Unreachable: as `by_id`.
        """
        if self.sign_in is None:
            fix = "where the site has one, use `aiplat users team` or its portal"
            raise bad(f"user {name}", "is not known here: no sign-in by name is", fix)
        issuer = self.sign_in.issuer
        here = [p.id for p in await list_people(self.database) if (p.issuer, p.name) == (issuer, name)]
        if self.directory:
            accounts = await self._accounts()
            if name not in accounts:
                near = difflib.get_close_matches(name, accounts, 1)
                fix = f'did you mean "{near[0]}"?' if near else "`aiplat users list` shows who is"
                raise NotThere(Finding(f"user {name}", "is not at the site's sign-in", fix))
            here = [accounts[name]]
        if len(here) > 1:
            raise bad(f"user {name}", f"is the name of {len(here)} people", f"name one of {', '.join(here)}")
        if here:
            await self.by_id(actor, here[0], team)
            return here[0]
        if not name.isprintable() or not 0 < len(name.strip()) == len(name) <= _LONGEST_NAME:
            raise bad(f"user {name}", "is not a name that a sign-in tells", f"at most {_LONGEST_NAME} signs")
        awaited = awaited_id(issuer, name)
        if not team and awaited not in {one.id for one in await list_awaited(self.database)}:
            raise not_there("person", name)
        await self._await(actor, awaited, name, team)
        return awaited

    async def _accounts(self) -> dict[str, str]:
        """Return the ids of everybody at the site's own sign-in, by name; nobody at a company's."""
        if self.directory is None or self.sign_in is None:
            return {}
        issuer = self.sign_in.issuer
        return {one.name: person_id(issuer, one.id) for one in await self.directory.everybody()}

    async def _await(self, actor: str, person: str, name: str, team: str) -> None:
        issuer = self.sign_in.issuer if self.sign_in else ""
        await await_in_team(self.database, Awaited(person, issuer, name, team, actor))
