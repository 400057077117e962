"""The people of the site: who there is, in which groups, and links with which they set their password."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

from canaille.app import models
from canaille.backends import Backend
from flask import current_app, url_for

from aiplat.services.signin.kept import NobodyThere, PersonRefused, managing
from aiplat.services.signin.provider import forget

FIRST = "admin"
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_ADDRESS = re.compile(r"[!-~]{1,64}@[!-~]{1,190}")
_LONGEST_NAME = 100


def listed() -> list[dict[str, Any]]:
    """Return everybody, by name."""
    return sorted(map(_shown, Backend.instance.query(models.User)), key=lambda one: one["name"])


@managing()
def added(
    name: str, groups: Sequence[str], email: str | None = None, full_name: str | None = None
) -> dict[str, Any]:
    """Make a person without a password, and a link to set one.

    Raises:
        PersonRefused: there is such a person, or no such group, or the name or address is not one.
    """
    if not _NAME.fullmatch(name):
        raise PersonRefused(f"user {name}", "is not a user name", "use lower-case letters, digits, . _ and -")
    if Backend.instance.get(models.User, user_name=name):
        raise PersonRefused(
            f"user {name}", "is there already", f"`aiplat users link {name}` makes a new link"
        )
    members = _groups(groups)
    if email and any(email in (one.emails or ()) for one in Backend.instance.query(models.User)):
        raise PersonRefused(f"user {name}", f"{email} is somebody else's", "give another address")
    if email and not _ADDRESS.fullmatch(email):
        raise PersonRefused(f"user {name}", "the mail address is not one", "write it as ada@example.org")
    shown = full_name or name
    if len(shown) > _LONGEST_NAME or not shown.isprintable():
        problem = f"the full name is not 1 to {_LONGEST_NAME} printable characters"
        raise PersonRefused(f"user {name}", problem, "write it in one short line")
    user = models.User(
        user_name=name, formatted_name=shown, family_name=shown, emails=[email] if email else []
    )
    Backend.instance.save(user)
    _enter(user, members)
    return linked(name)


@managing()
def linked(name: str) -> dict[str, Any]:
    """Make a new link for a person to set a password with; the one before is worth nothing then.

    Raises:
        PersonRefused: there is nobody of that name, or they are locked.
    """
    user = _person(name)
    if user.locked:
        raise PersonRefused(f"user {name}", "is locked", f"`aiplat users unlock {name}` lets them in again")
    token = user.generate_url_safe_token()
    Backend.instance.save(user)
    lifetime: datetime.timedelta = current_app.config["CANAILLE"]["OTP_LIFETIME"]
    link = url_for("core.auth.password.reset", user=user, token=token, _external=True, _scheme="https")
    expires = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + lifetime
    return _shown(user) | {"link": link, "expires": expires.isoformat()}


@managing()
def first() -> dict[str, Any]:
    """Make the first admin with a link where there is nobody yet; an empty answer where there is somebody."""
    return {} if Backend.instance.query(models.User) else added(FIRST, [FIRST])


@managing()
def grouped(name: str, groups: Sequence[str]) -> dict[str, Any]:
    """Put a person into these groups and no others.

    Raises:
        PersonRefused: there is nobody of that name, or no such group, or no admin would be left.
    """
    user, wanted = _person(name), _groups(groups)
    _enter(user, wanted)
    return _shown(user)


@managing()
def locked(name: str, wanted: bool) -> dict[str, Any]:
    """Lock a person out, or let them in again; whoever is locked out has no session, token or link.

    Raises:
        PersonRefused: there is nobody of that name, or no admin would be left.
    """
    user = _person(name)
    if wanted and not user.locked:
        # Not now: what is compared with it may be of the same moment.
        user.lock_date = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
        user.one_time_password = user.one_time_password_emission_date = None
        forget(user)
    if not wanted:
        user.lock_date = None
    Backend.instance.save(user)
    return _shown(user)


@managing()
def removed(name: str) -> dict[str, Any]:
    """Remove a person: browser sessions and tokens are refused from now on.

    Raises:
        PersonRefused: there is nobody of that name, or no admin would be left.
    """
    user = _person(name)
    shown = _shown(user)
    Backend.instance.delete(user)
    return shown


def _person(name: str) -> Any:
    user = Backend.instance.get(models.User, user_name=name)
    if user is None:
        raise NobodyThere(f"user {name}", "is not there", "`aiplat users list` shows who is")
    return user


def _groups(names: Sequence[str]) -> list[Any]:
    there = {group.display_name: group for group in Backend.instance.query(models.Group)}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise PersonRefused(f"group {unknown[0]}", "is not there", f"take one of {', '.join(sorted(there))}")
    return [there[name] for name in dict.fromkeys(names)]


def _enter(user: Any, groups: Sequence[Any]) -> None:
    user.groups = list(groups)
    Backend.instance.save(user)


def _shown(user: Any) -> dict[str, Any]:
    state = "locked" if user.locked else "active" if user.has_password() else "invited"
    groups = sorted(group.display_name for group in user.groups or ())
    # The id is the subject of tokens, whatever the person is called.
    known = {"id": str(user.id), "name": user.user_name}
    return known | {"groups": groups, "email": user.preferred_email, "state": state}
