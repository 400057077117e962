"""Who visits: a key or person in a sealed cookie, asked about at every request; what they see is in paths."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field, replace
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken

from aiplat.moments import moment_at
from aiplat.services.oidc.code_flow import Begun
from aiplat.services.store.database import Database
from aiplat.services.store.faults import NotThere
from aiplat.services.store.keys import KeyRecord, Role, find_key, reaches
from aiplat.services.store.people import KnownPerson, get_person
from aiplat.services.store.secret import PREFIX
from aiplat.services.store.sessions import end_session, has_ended

SESSION_SECONDS = 8 * 3600
"""A working day: then somebody signs in again, whatever happened since."""
IDLE_SECONDS = 3600
"""How long a page may be left alone."""
BEGUN_SECONDS = 600
"""How long signing in at the issuer may take."""
# Browsers keep 4096 bytes of a cookie, of which the seal takes a quarter.
_HINT = 2400


@dataclass(frozen=True)
class Session:
    """What the cookie holds: the key's secret, begin and last use (Unix seconds), the token of forms.

    Of a person the id, and what tells the issuer whose session there is to end (empty where it is too long).
    """

    secret: str = field(repr=False)
    began: int
    used: int
    token: str = field(repr=False)
    person: str = ""
    hint: str = field(default="", repr=False)

    @classmethod
    def begin(cls, secret: str, now: float | None = None) -> Session:
        """Return a session of a key that begins now."""
        moment = int(time.time() if now is None else now)
        return cls(secret, moment, moment, secrets.token_urlsafe(32))

    @classmethod
    def of_person(cls, person: str, hint: str) -> Session:
        """Return a session of a person that begins now."""
        return replace(cls.begin(""), person=person, hint=hint if len(hint) <= _HINT else "")

    @property
    def id(self) -> str:
        """What the session is known by where it is noted: nobody makes a cookie of it."""
        return sha256(self.token.encode()).hexdigest()

    def lasts(self, now: float) -> bool:
        """Whether the session has neither been idle nor gone on for too long."""
        return now - self.used < IDLE_SECONDS and now - self.began < SESSION_SECONDS


class Seal:
    """Turns sessions to cookies and back; whoever has not the site's token can neither read nor make one."""

    def __init__(self, token: str) -> None:
        # The form that Fernet wants a key in. The token has 256 random bits: nothing is to be stretched.
        self._token = token.encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(sha256(token.encode()).digest()))

    def closed(self, session: Session) -> str:
        """Return a session as the value of a cookie."""
        return self._fernet.encrypt(json.dumps(vars(session)).encode()).decode()

    def opened(self, cookie: str, now: float | None = None) -> Session | None:
        """Return the session of a cookie, with its last use now, or None where it is over or not ours."""
        moment = time.time() if now is None else now
        try:
            session = Session(**json.loads(self._fernet.decrypt(cookie.encode())))
        except (InvalidToken, ValueError, TypeError):
            return None
        if not session.lasts(moment):
            return None
        return replace(session, used=int(moment))

    def set_aside(self, begun: Begun) -> str:
        """Return what a browser keeps while it signs in at the issuer."""
        return self._fernet.encrypt(json.dumps(vars(begun)).encode()).decode()

    def taken_up(self, cookie: str) -> Begun | None:
        """Return what was set aside for a sign-in, or None where that is too long ago or not ours."""
        try:
            return Begun(**json.loads(self._fernet.decrypt(cookie.encode(), ttl=BEGUN_SECONDS)))
        except (InvalidToken, ValueError, TypeError):
            return None

    def secret_of(self, person: str) -> str:
        """Return the secret of a person's key for the playground: the same everywhere, and kept nowhere."""
        mac = hmac.digest(self._token, f"playground {person}".encode(), "sha256")
        return PREFIX + base64.urlsafe_b64encode(mac).decode().rstrip("=")


@dataclass(frozen=True)
class Visitor:
    """Who is signed in: by a key, or by name."""

    id: str
    name: str
    role: Role
    team: str
    session: Session
    key: KeyRecord | None = None
    person: KnownPerson | None = None

    def has(self, role: Role) -> bool:
        """Whether the visitor has at least this role."""
        return reaches(self.role, role)

    @property
    def team_seen(self) -> str | None:
        """The team whose usage is shown; None: everybody's."""
        return None if self.has("operator") else self.team


async def visitor_of(database: Database, session: Session) -> Visitor | None:
    """Return who a session is of.

    None where somebody signed out of it, in whatever browser; where its key was revoked, rotated, or is past
    its time; or where the issuer gave its person no group that may enter when it last told of it.

    Raises:
        Unreachable: the database does not answer.
    """
    if await has_ended(database, session.id):
        return None
    if session.person:
        return await _person_of(database, session)
    key = await find_key(database, session.secret)
    if key is None or key.old_secret:
        return None
    return Visitor(key.id, key.name, key.role, key.team, session, key=key)


async def leave(database: Database, session: Session) -> None:
    """End a session: its cookie opens nothing any more, wherever a copy of it is.

    Raises:
        Unreachable: the database does not answer; the session is still good.
    """
    await end_session(database, session.id, moment_at(session.began + SESSION_SECONDS))


async def _person_of(database: Database, session: Session) -> Visitor | None:
    try:
        person = await get_person(database, session.person)
    except NotThere:
        return None
    if person.role is None:
        return None
    return Visitor(person.id, person.name, person.role, person.team, session, person=person)
