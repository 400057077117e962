"""A door for the site's own programs that list, add, group, lock and remove people; no browser comes here."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from canaille.backends import Backend
from flask import Flask, request
from werkzeug.exceptions import BadRequest, HTTPException

from aiplat.services.signin import people
from aiplat.services.signin.kept import NobodyThere, PersonRefused

_BODY_BYTES = 16 << 10
_BASIC = {"WWW-Authenticate": 'Basic realm="people"'}


def administration(application: Flask, clients: Iterable[Mapping[str, Any]]) -> Flask:
    """Return an application that manages the people of a Canaille, for the clients that may.

    They show the id and secret that they have as clients of the sign-in, by HTTP Basic as RFC 6749 has it.
    """
    known = {c["id"]: c["secret"] for c in clients if c.get("managesPeople") and c.get("secret")}
    door = Flask(__name__, static_folder=None)
    door.config["MAX_CONTENT_LENGTH"] = _BODY_BYTES

    def ask_who_it_is() -> Any:
        return None if _is_known(known) else _unknown()

    def rule(path: str, method: str, answer: Callable[..., Any]) -> None:
        def answered(**named: str) -> Any:
            asked = _said()
            with _in(application):
                return answer(asked, **named)

        door.add_url_rule(path, endpoint=answer.__name__, view_func=answered, methods=[method])

    door.before_request(ask_who_it_is)
    rule("/people", "GET", _listed)
    rule("/people", "POST", _added)
    rule("/people/<name>/link", "POST", _linked)
    rule("/people/<name>/groups", "PUT", _grouped)
    rule("/people/<name>/locked", "PUT", _locked)
    rule("/people/<name>", "DELETE", _removed)
    door.register_error_handler(PersonRefused, _refused)
    door.register_error_handler(HTTPException, _wrong)
    return door


def _said() -> Mapping[str, Any]:
    """Return what a request says; what is not an object says nothing."""
    try:
        told = request.get_json(silent=True)
    except RecursionError:
        told = None
    return told if isinstance(told, dict) else {}


def _listed(_: Mapping[str, Any]) -> Any:
    return {"people": people.listed()}


def _added(told: Mapping[str, Any]) -> Any:
    made = people.added(
        _text(told, "name") or "", _groups(told), _text(told, "email"), _text(told, "fullName")
    )
    return made, HTTPStatus.CREATED


def _linked(_: Mapping[str, Any], name: str) -> Any:
    return people.linked(name)


def _grouped(told: Mapping[str, Any], name: str) -> Any:
    return people.grouped(name, _groups(told))


def _locked(told: Mapping[str, Any], name: str) -> Any:
    return people.locked(name, _is(told, "locked"))


def _removed(_: Mapping[str, Any], name: str) -> Any:
    return people.removed(name)


@contextmanager
def _in(application: Flask) -> Iterator[None]:
    """Ask Canaille's database as one of its own requests does, and keep nothing of it."""
    # A request of Canaille's own: links are made of its addresses, not of this door's.
    with application.test_request_context():
        try:
            Backend.instance.setup()
            yield
        finally:
            Backend.instance.teardown()


def _is_known(clients: Mapping[str, str]) -> bool:
    shown = request.authorization
    if shown is None or shown.type != "basic":
        return False
    secret = clients.get(str(shown.username), "")
    return bool(secret) and hmac.compare_digest(secret.encode(), str(shown.password).encode())


def _groups(told: Mapping[str, Any]) -> list[str]:
    """Return the groups that are asked for; what is something else must not mean none."""
    groups = told.get("groups")
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise BadRequest
    return groups


def _is(told: Mapping[str, Any], name: str) -> bool:
    """Return what is asked for; what is neither must not let in somebody who is locked."""
    wanted = told.get(name)
    if not isinstance(wanted, bool):
        raise BadRequest
    return wanted


def _text(told: Mapping[str, Any], name: str) -> str | None:
    text = told.get(name)
    if text is not None and not isinstance(text, str):
        raise BadRequest
    return text or None


def _unknown() -> Any:
    return {"error": _problem("client", "is not known, or may not manage people")}, 401, _BASIC


def _refused(error: PersonRefused) -> Any:
    status = HTTPStatus.NOT_FOUND if isinstance(error, NobodyThere) else HTTPStatus.CONFLICT
    return {"error": error.finding}, status


def _wrong(error: HTTPException) -> Any:
    return {"error": _problem("request", error.name)}, error.code


def _problem(where: str, problem: str) -> dict[str, str]:
    return {"where": where, "problem": problem, "fix": ""}
