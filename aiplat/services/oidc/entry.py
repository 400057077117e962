"""How people enter a service of the site: a token of its sign-in, verified, to who that is here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiplat.errors import Finding
from aiplat.services.bounds import GROUPS_TOLD_SECONDS
from aiplat.services.oidc.issuer import Issuer
from aiplat.services.oidc.settings import Client, SignIn
from aiplat.services.oidc.verify import Claimed, TokenRefusedError, identity_of, verified
from aiplat.services.store.database import Database
from aiplat.services.store.faults import NotThere
from aiplat.services.store.people import KnownPerson, get_person, person_id, seen, would_rise
from aiplat.services.store.standing import told

Confirmed = Callable[[Claimed], Awaitable[Claimed]]
"""Says what the sign-in says now of who a token is of."""


@dataclass(frozen=True)
class Entry:
    """The site's sign-in as a service has it: what is known of it, the issuer, the service's own client."""

    sign_in: SignIn
    issuer: Issuer
    client: Client

    @classmethod
    def of(cls, sign_in: SignIn, client: Client) -> Entry:
        """Return the sign-in with an issuer that was asked nothing yet."""
        return cls(sign_in, Issuer(sign_in.issuer, client.ca, proxy=sign_in.proxy), client)

    async def person(self, token: str, database: Database, confirmed: Confirmed | None = None) -> KnownPerson:
        """Return who a token of the command line's client is of; `role` None: nobody who may do anything.

        A token that says nothing of groups takes no role away: the ones that somebody signed in with at the
        portal count, for a working day. One that gives more than is known was perhaps made before its person
        lost that: where there is `confirmed`, it is asked first.

        Raises:
            TokenRefusedError: it is not to be believed.
            AiplatError: what `confirmed` raises.
            IssuerAwayError: the issuer's keys cannot be had.
            Unreachable: the database does not answer.
        """
        claims = await verified(self.issuer, token, (self.sign_in.cli,) if self.sign_in.cli else ())
        who = identity_of(self.sign_in, claims)
        if not who.tells_groups:
            return await _as_told(database, who)
        named = person_id(who.issuer, who.subject)
        if confirmed and await would_rise(database, named, who.role, who.issued):
            who = await confirmed(who)
            # Also where nothing changes: else this token would have the sign-in asked at every request.
            await told(database, named, who.role, who.issued, named, if_newest=True)
        return await noted(database, who)


async def _as_told(database: Database, who: Claimed) -> KnownPerson:
    try:
        person = await get_person(database, person_id(who.issuer, who.subject))
    except NotThere:
        raise _without_groups() from None
    if person.role is not None and time.time() - person.told_at > GROUPS_TOLD_SECONDS:
        raise _without_groups()
    return person


def _without_groups() -> TokenRefusedError:
    problem = "says nothing of groups, and it is too long ago that they were told"
    return TokenRefusedError(Finding("token", problem, "sign in at the portal, then ask again"))


async def noted(database: Database, who: Claimed) -> KnownPerson:
    """Return who somebody is here, noted with what the issuer tells of them.

    Raises:
        Unreachable: the database does not answer.
    """
    return await seen(
        database,
        issuer=who.issuer,
        subject=who.subject,
        name=who.name,
        role=who.role,
        told_at=who.issued,
        user=who.user,
    )
