"""Managing people: the sign-in changes them, what follows here is done at once, the trail says by whom."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiplat.errors import BadInput, Finding
from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.settings import SignIn
from aiplat.services.oidc.verify import Claimed
from aiplat.services.people.directory import Account, Directory, Invitation
from aiplat.services.store.audit import AuditEntry, append_audit
from aiplat.services.store.awaited import await_no_more
from aiplat.services.store.database import Database
from aiplat.services.store.faults import not_there
from aiplat.services.store.keys import Role
from aiplat.services.store.people import person_id
from aiplat.services.store.standing import follow, gone, told

ACTOR = "sign-in"
"""Who the trail names for what is only seen afterwards: nobody said who did it."""
ACTIONS = tuple(f"person.{done}" for done in ("invited", "link", "groups", "locked", "unlocked", "removed"))


@dataclass(frozen=True)
class Desk:
    """Where an admin manages people; `actor` is who does, as the audit trail names them.

    People are named by the id that they have here, which is known before they sign in.
    """

    sign_in: SignIn
    directory: Directory
    database: Database

    def id_of(self, account: Account) -> str:
        """Return what somebody is called here."""
        return person_id(self.sign_in.issuer, account.id)

    def role_of(self, account: Account) -> Role | None:
        """Return the role that somebody's groups give; None also for who is locked out."""
        return None if account.state == "locked" else self.sign_in.role_of(list(account.groups))

    async def everybody(self) -> dict[str, Account]:
        """Return everybody by the id that they have here, in the order of their names.

        Raises:
            DirectoryAwayError: the sign-in does not answer.
        """
        return {self.id_of(account): account for account in await self.directory.everybody()}

    async def invite(
        self,
        actor: str,
        name: str,
        groups: Iterable[str],
        *,
        email: str | None = None,
        full_name: str | None = None,
    ) -> Invitation:
        """Make a person with a link to set a password.

        Raises:
            BadInput: there is such a person, or no such group, or name or address is not one.
            DirectoryAwayError: the sign-in does not answer.
        """
        made = await self.directory.add(name, tuple(groups), email, full_name)
        detail = {"name": made.name, "groups": list(made.groups)}
        await self._written(actor, "person.invited", self.id_of(made), **detail)
        return made

    async def link(self, actor: str, person: str) -> Invitation:
        """Make a new link for a person; the one before is worth nothing then.

        Raises:
            NotThere, BadInput, DirectoryAwayError: as `set_groups`.
        """
        made = await self.directory.link((await self._named(person)).name)
        await self._written(actor, "person.link", person, name=made.name)
        return made

    async def set_groups(self, actor: str, person: str, groups: Iterable[str]) -> Account:
        """Put a person into these groups and no others; it holds here at once.

        Raises:
            NotThere: the sign-in knows nobody of this id.
            BadInput: no such group; or no admin would be left; or it would be one's own undoing.
            DirectoryAwayError: the sign-in does not answer.
        """
        account, wanted = await self._named(person), tuple(groups)
        if actor == person and self.sign_in.role_of(list(wanted)) != "admin":
            raise _yourself(account, "take yourself out of the admins")
        changed, at = await self.directory.set_groups(account.name, wanted), _now()
        await self._written(actor, "person.groups", person, name=changed.name, groups=list(changed.groups))
        await told(self.database, person, self.role_of(changed), at, actor)
        return changed

    async def set_locked(self, actor: str, person: str, locked: bool) -> Account:
        """Lock a person out, or let them in again: sessions end, and keys are refused while it lasts.

        Raises:
            NotThere, BadInput, DirectoryAwayError: as `set_groups`.
        """
        account = await self._named(person)
        if actor == person and locked:
            raise _yourself(account, "lock yourself out")
        changed, at = await self.directory.set_locked(account.name, locked), _now()
        action = "person.locked" if locked else "person.unlocked"
        await self._written(actor, action, person, name=changed.name)
        await told(self.database, person, self.role_of(changed), at, actor)
        return changed

    async def remove(self, actor: str, person: str) -> None:
        """Remove a person: sessions end, and the keys that they made are revoked.

        Raises:
            NotThere, BadInput, DirectoryAwayError: as `set_groups`.
        """
        account = await self._named(person)
        if actor == person:
            raise _yourself(account, "remove yourself")
        await self.directory.remove(account.name)
        revoked = await gone(self.database, person, _now(), actor)
        await await_no_more(self.database, person)
        await self._written(actor, "person.removed", person, name=account.name, keysRevoked=revoked)

    async def catch_up(self, actor: str = ACTOR) -> None:
        """Bring what is known here to what the sign-in says, wherever that was changed.

        Raises:
            DirectoryAwayError, Unreachable: one of the two does not answer.
        """
        at = _now()
        roles = {account.id: self.role_of(account) for account in await self.directory.everybody()}
        await follow(self.database, self.sign_in.issuer, roles, at, actor)

    async def note(self, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
        """Write down what a command changed at the sign-in, of whom it has under the id `subject`; follow it.

        Raises:
            DirectoryAwayError, Unreachable: as `catch_up`.
        """
        person = person_id(self.sign_in.issuer, subject)
        line = AuditEntry(actor, action, person, origin="command", detail=detail)
        await append_audit(self.database, line)
        await self.catch_up(actor)

    async def confirmed(self, who: Claimed) -> Claimed:
        """Return what the sign-in says now of who a token is of: it may be of before they lost a role.

        Raises:
            DirectoryAwayError: the sign-in does not answer.
        """
        at = _now()
        account = (await self.everybody()).get(person_id(who.issuer, who.subject))
        return replace(who, role=self.role_of(account) if account else None, issued=max(at, who.issued))

    async def _named(self, person: str) -> Account:
        found = (await self.everybody()).get(person)
        if found is None:
            raise not_there("person", person)
        return found

    async def _written(self, actor: str, action: str, person: str, **detail: object) -> None:
        await append_audit(self.database, AuditEntry(actor, action, person, detail=detail))


def desk_of(entry: Entry | None, database: Database) -> Desk:
    """Return where the people of a sign-in are managed.

    Raises:
        BadInput: not here: the company's sign-in has them, or nobody signs in by name.
    """
    if entry is None:
        fix = "turn one on: `planes: {access: {canaille: {state: on}}}` in site.yaml"
        raise BadInput(Finding("people", "cannot be managed: this site has no sign-in by name", fix))
    if not entry.sign_in.people:
        problem = f"are managed at the company's sign-in, {entry.sign_in.issuer}, not here"
        raise BadInput(Finding("people", problem, "add, change and remove them there"))
    return Desk(entry.sign_in, Directory(entry.sign_in.people, entry.client), database)


def _now() -> int:
    """Return the moment in Unix seconds; of a change it is taken afterwards, so that no token is later."""
    return int(time.time())


def _yourself(account: Account, what: str) -> BadInput:
    problem = f"is you, and you cannot {what}"
    return BadInput(Finding(f"user {account.name}", problem, "have another admin do it"))
