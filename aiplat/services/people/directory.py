"""The site's own sign-in as a program manages its people, over HTTP; what that has for effects is in desk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import TypeAdapter, ValidationError

from aiplat.content import parsed_json
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.services.bounds import DIRECTORY_BYTES, DIRECTORY_SECONDS
from aiplat.services.oidc.settings import Client
from aiplat.services.store.faults import NotThere


class DirectoryAwayError(AiplatError):
    """The sign-in does not answer, or not as it should."""


@dataclass(frozen=True)
class Account:
    """Somebody at the sign-in: `invited` until a password is set, `locked` by an admin.

    `id` never changes and is the subject of tokens; `name` is what the person signs in with.
    """

    id: str
    name: str
    groups: tuple[str, ...]
    email: str | None
    state: str


@dataclass(frozen=True)
class Invitation(Account):
    """Somebody with a new link to set a password; the link is a secret until then, and serves once."""

    link: str = field(repr=False)
    expires: datetime


_T = TypeVar("_T")
_ACCOUNT = TypeAdapter(Account)
_ACCOUNTS = TypeAdapter(list[Account])
_INVITATION = TypeAdapter(Invitation)


class Directory:
    """Asks the sign-in's administration at `url`, as one of its clients."""

    def __init__(self, url: str, client: Client) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": aiohttp.encode_basic_auth(client.id, client.secret)}

    async def everybody(self) -> list[Account]:
        """Return everybody, by name.

        Raises:
            DirectoryAwayError: the sign-in does not answer.
        """
        told = await self._ask("GET", "")
        # Who is not told of is gone, with all keys: an answer without a list must not be one of nobody.
        return _read(_ACCOUNTS, told.get("people"))

    async def add(
        self, name: str, groups: tuple[str, ...], email: str | None, full_name: str | None
    ) -> Invitation:
        """Make a person, and a link to set a password.

        Raises:
            BadInput: there is such a person, or no such group, or name or address is not one.
            DirectoryAwayError: the sign-in does not answer.
        """
        asked = {"name": name, "groups": list(groups), "email": email, "fullName": full_name}
        return _read(_INVITATION, await self._ask("POST", "", asked))

    async def link(self, name: str) -> Invitation:
        """Make a new link for a person; the one before is worth nothing then.

        Raises:
            NotThere, BadInput, DirectoryAwayError: as `set_groups`.
        """
        return _read(_INVITATION, await self._ask("POST", f"/{quote(name, safe='')}/link", {}))

    async def set_groups(self, name: str, groups: tuple[str, ...]) -> Account:
        """Put a person into these groups and no others.

        Raises:
            NotThere: there is nobody of that name.
            BadInput: the sign-in refuses: no such group, or no admin would be left.
            DirectoryAwayError: the sign-in does not answer.
        """
        asked = {"groups": list(groups)}
        return _read(_ACCOUNT, await self._ask("PUT", f"/{quote(name, safe='')}/groups", asked))

    async def set_locked(self, name: str, locked: bool) -> Account:
        """Lock a person out, or let them in again.

        Raises:
            NotThere, BadInput, DirectoryAwayError: as `set_groups`.
        """
        asked = {"locked": locked}
        return _read(_ACCOUNT, await self._ask("PUT", f"/{quote(name, safe='')}/locked", asked))

    async def remove(self, name: str) -> None:
        """Remove a person.

        Raises:
            NotThere, BadInput, DirectoryAwayError: as `set_groups`.
        """
        await self._ask("DELETE", f"/{quote(name, safe='')}")

    async def _ask(self, method: str, path: str, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=DIRECTORY_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session,
                session.request(
                    method, f"{self._url}/people{path}", json=asked, allow_redirects=False
                ) as answer,
            ):
                status, text = answer.status, await _whole(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away(type(error).__name__) from error
        try:
            told = parsed_json(text)
            if status < HTTPStatus.BAD_REQUEST:
                return dict(told)
            finding = Finding(**told["error"])
        except (ValueError, KeyError, TypeError) as error:
            raise _away(f"answered {status}") from error
        if status == HTTPStatus.NOT_FOUND:
            raise NotThere(finding)
        raise BadInput(finding) if status == HTTPStatus.CONFLICT else _away(f"answered {status}")


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    text = bytearray()
    async for piece in answer.content.iter_any():
        text += piece
        if len(text) > DIRECTORY_BYTES:
            raise _away("told too much")
    return bytes(text)


def _read(form: TypeAdapter[_T], told: object) -> _T:
    try:
        return form.validate_python(told)
    except ValidationError as error:
        # Its text would repeat the answer, which may hold a link.
        raise _away(f"told something else: {error.error_count()} values") from None


def _away(why: str) -> DirectoryAwayError:
    return DirectoryAwayError(
        Finding("sign-in", f"does not answer as it should ({why})", "try again in a moment")
    )
