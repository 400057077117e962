"""Sign-ins that somebody ended: a copy of the cookie opens nothing, as long as it would have been good.

Canaille keeps who is signed in in the cookie alone, so that signing out only takes it from the browser.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from canaille.app.session import USER_SESSION
from canaille.backends import Backend
from flask import Flask, Response, current_app, g, session
from sqlalchemy import Column, DateTime, MetaData, String, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

_METADATA = MetaData()
_ENDED = Table(
    "aiplat_ended_sign_ins",
    _METADATA,
    Column("id", String(64), primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False, index=True),
)


def make_table() -> None:
    """Make the table where it is missing."""
    _METADATA.create_all(Backend.instance.engine)


def watch(application: Flask) -> None:
    """Drop ended sign-ins from every request before Canaille reads it, and note those that a request ends."""
    application.before_request_funcs.setdefault(None, []).insert(0, _drop)
    application.after_request(_note)


def _drop() -> None:
    there = {_id(one): one for one in session.get(USER_SESSION, ())}
    ended = _ended(there)
    if ended:
        session[USER_SESSION] = [one for name, one in there.items() if name not in ended]
    g.signed_in = there.keys() - ended


def _note(answer: Response) -> Response:
    left = g.get("signed_in", set()) - {_id(one) for one in session.get(USER_SESSION, ())}
    now = datetime.datetime.now(datetime.UTC)
    until = now + current_app.permanent_session_lifetime
    for name in left:
        try:
            with Backend.instance.engine.begin() as connection:
                connection.execute(delete(_ENDED).where(_ENDED.c.until < now))
                connection.execute(insert(_ENDED).values(id=name, until=until))
        except IntegrityError:
            pass  # Another request ended it as well.
    return answer


def _ended(names: Iterable[str]) -> set[str]:
    asked = list(names)
    if not asked:
        return set()
    with Backend.instance.engine.connect() as connection:
        return set(connection.execute(select(_ENDED.c.id).where(_ENDED.c.id.in_(asked))).scalars())


def _id(sign_in: dict[str, Any]) -> str:
    """Return what a sign-in is known by: no other one of the person has its moment."""
    return sha256(f"{sign_in.get('user')} {sign_in.get('last_login_datetime')}".encode()).hexdigest()
