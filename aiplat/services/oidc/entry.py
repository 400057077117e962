"""How people enter a service of the site: a token of its sign-in, verified, to who that is here."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.services.oidc.issuer import Issuer
from aiplat.services.oidc.settings import Client, SignIn
from aiplat.services.oidc.verify import Claimed, identity_of, verified
from aiplat.services.store.database import Database
from aiplat.services.store.people import KnownPerson, seen


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

    async def person(self, token: str, database: Database) -> KnownPerson:
        """Return who a token of the command line's client is of; `role` None: nobody who may do anything.

        Raises:
            TokenRefusedError: it is not to be believed.
            IssuerAwayError: the issuer's keys cannot be had.
            Unreachable: the database does not answer.
        """
        claims = await verified(self.issuer, token, (self.sign_in.cli,) if self.sign_in.cli else ())
        return await noted(database, identity_of(self.sign_in, claims))


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
    )
