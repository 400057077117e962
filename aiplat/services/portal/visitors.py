"""Who visits: an API key in a sealed cookie, asked about at every request; what it may see is in paths."""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken

from aiplat.services.store.database import Database
from aiplat.services.store.keys import KeyRecord, Role, find_key, reaches

SESSION_SECONDS = 8 * 3600
"""A working day: then somebody signs in again, whatever happened since."""
IDLE_SECONDS = 3600
"""How long a page may be left alone."""


@dataclass(frozen=True)
class Session:
    """What the cookie holds: the key's secret, begin and last use (Unix seconds), the token of forms."""

    secret: str = field(repr=False)
    began: int
    used: int
    token: str = field(repr=False)

    @classmethod
    def begin(cls, secret: str, now: float | None = None) -> Session:
        """Return a session that begins now."""
        moment = int(time.time() if now is None else now)
        return cls(secret, moment, moment, secrets.token_urlsafe(32))

    def lasts(self, now: float) -> bool:
        """Whether the session has neither been idle nor gone on for too long."""
        return now - self.used < IDLE_SECONDS and now - self.began < SESSION_SECONDS


class Seal:
    """Turns sessions to cookies and back; whoever has not the site's token can neither read nor make one."""

    def __init__(self, token: str) -> None:
        # The form that Fernet wants a key in. The token has 256 random bits: nothing is to be stretched.
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
        return Session(session.secret, session.began, int(moment), session.token)


@dataclass(frozen=True)
class Visitor:
    """Who is signed in, by which key."""

    key: KeyRecord
    session: Session

    @property
    def role(self) -> Role:
        """The role of the key."""
        return self.key.role

    def has(self, role: Role) -> bool:
        """Whether the visitor has at least this role."""
        return reaches(self.key.role, role)

    @property
    def team_seen(self) -> str | None:
        """The team whose usage is shown; None: everybody's."""
        return None if self.has("operator") else self.key.team


async def visitor_of(database: Database, session: Session) -> Visitor | None:
    """Return who a session is of, or None where its key was revoked, rotated, or is past its time.

    Raises:
        Unreachable: the database does not answer.
    """
    key = await find_key(database, session.secret)
    return Visitor(key, session) if key else None
