"""What only `people` may change: who there is, locks, the site's own groups; and that an admin stays.

Canaille's own pages let anybody delete or lock themselves and leave a group, whatever its rights say. So this
is looked at where everything passes, pages, programs and commands alike: when a change is written down.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from canaille.app import models
from canaille.backends import Backend
from flask import Flask, flash, redirect, request, session, url_for
from sqlalchemy import event, inspect, select

from aiplat.services.signin.alone import alone

GROUPS = {
    "admin": "Everything, people and groups too.",
    "operator": "What the site runs and how it is.",
    "member": "What the site offers.",
}
"""The site's own groups; others are an admin's, for teams."""
_ADMINS = "admin"
_PATIENCE = 10.0
_STANDING = "aiplat-standing"
_CLOSED = frozenset({"core.account.profile_creation", "core.account.user_invitation"})
_MANAGING: ContextVar[bool] = ContextVar("managing", default=False)


class PersonRefused(Exception):
    """What was asked for cannot be done: what it is about, what is wrong, what to do."""

    def __init__(self, where: str, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.finding = {"where": where, "problem": problem, "fix": fix}


class NobodyThere(PersonRefused):
    """There is nobody of that name."""


class Standing(NamedTuple):
    """How many admins who are not locked there are, and how many of them have a password."""

    admins: int
    able: int


@contextmanager
def managing() -> Iterator[None]:
    """Let people be changed, by one at a time; what is refused leaves nothing behind.

    Raises:
        PersonRefused: as what is done inside; also when no admin who can sign in would be left.
        OperationalError: the database does not answer.
    """
    with alone(_PATIENCE):
        before = _MANAGING.set(True)
        try:
            yield
        except PersonRefused:
            Backend.instance.db_session.rollback()
            raise
        finally:
            _MANAGING.reset(before)


def watch(application: Flask, people_at: str) -> None:
    """Look at every change of people; pages lead to where people are managed, empty where that is nowhere."""
    factory = Backend.instance.session_factory
    event.listen(factory, "before_flush", _before)
    event.listen(factory, "after_flush", _after)
    page = f"on the portal's page {people_at}, or " if people_at else ""
    where_to = f"Who there is, locks and the groups {', '.join(GROUPS)} are changed {page}by `aiplat users`."
    application.before_request(lambda: _elsewhere(where_to) if request.endpoint in _CLOSED else None)
    application.register_error_handler(PersonRefused, lambda _: _elsewhere(where_to))
    application.jinja_env.globals["people_at"] = people_at


def _before(writing: Any, *_: Any) -> None:
    where = next(_changes(writing), None)
    if where is None:
        return
    if not _MANAGING.get():
        raise PersonRefused(where, "is not changed here", "use `aiplat users`, or the portal")
    writing.info[_STANDING] = where, _standing(writing.connection())


def _after(writing: Any, *_: Any) -> None:
    # After the change is written: SQLite is not locked by `alone`, and lets one write at a time.
    where, before = writing.info.pop(_STANDING, ("", None))
    if before is None:
        return
    now = _standing(writing.connection())
    if (before.able and not now.able) or (before.admins and not now.admins):
        raise PersonRefused(where, "is the last admin who can sign in", "have another admin sign in first")


def _changes(writing: Any) -> Iterator[str]:
    """Yield what is changed of who there is, of locks, and of the site's own groups."""
    for one in writing.deleted:
        if isinstance(one, models.User):
            yield f"user {one.user_name}"
        if isinstance(one, models.Group) and one.display_name in GROUPS:
            yield f"group {one.display_name}"
    for one in {*writing.new, *writing.dirty}:
        if isinstance(one, models.User) and (one in writing.new or _is_regrouped(one)):
            yield f"user {one.user_name}"
        if isinstance(one, models.Group) and one.display_name in GROUPS:
            seen = inspect(one).attrs["_members_association"].history
            if one in writing.new or seen.added or seen.deleted:
                yield f"group {one.display_name}"


def _is_regrouped(user: Any) -> bool:
    seen = inspect(user).attrs
    if seen["lock_date"].history.has_changes():
        return True
    groups = seen["_groups_association"].history
    added, left = ({one.group.display_name for one in part} for part in (groups.added, groups.deleted))
    return bool((added ^ left).intersection(GROUPS))


def _standing(connection: Any) -> Standing:
    # The class of rows between people and groups has no name in Canaille's list of models.
    member = models.User._groups_association.property.mapper.class_
    found = select(models.User.lock_date, models.User.password.is_not(None))
    found = found.join(member, member.user_id == models.User.id)
    found = found.join(models.Group, member.group_id == models.Group.id)
    now = datetime.datetime.now(datetime.UTC)
    rows = connection.execute(found.where(models.Group.display_name == _ADMINS))
    able = [bool(password) for until, password in rows if until is None or until > now]
    return Standing(len(able), sum(able))


def _elsewhere(where_to: str) -> Any:
    """Lead the browser back with a sentence; what Canaille said of the change came too early."""
    Backend.instance.db_session.rollback()
    session.pop("_flashes", None)
    flash(where_to, "error")
    return redirect(url_for("core.account.index"))
