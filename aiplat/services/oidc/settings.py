"""What a service knows of the site's sign-in: a JSON file, a folder with its client's secret and the CA."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from aiplat.errors import BadInput, Finding
from aiplat.services.bounds import CONFIG_BYTES
from aiplat.services.store.keys import ROLES, Role

Word = Annotated[str, Field(min_length=1, max_length=200)]


class SignIn(BaseModel):
    """The site's sign-in. `groups` are the names in the claim that make somebody admin, operator, member.

    `url` is where browsers find the service; `cli` the client whose tokens the control API takes, `proxy` the
    way out to a company's issuer. `people` is where the site's own manages people; empty: the company's does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    issuer: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
    proxy: str = ""
    url: Annotated[str, Field(pattern=r"^https?://[^/\s?#]+$")]
    cli: str = ""
    people: str = ""
    groups: dict[Role, tuple[Word, ...]]
    groups_claim: Word = "groups"
    user_claim: Word = "preferred_username"
    scopes: tuple[Word, ...] = ("openid", "profile", "email", "groups")

    def role_of(self, groups: object) -> Role | None:
        """Return the highest role that the groups of a claim give, or None."""
        named = {groups} if isinstance(groups, str) else set()
        if isinstance(groups, list):
            named = {group for group in groups if isinstance(group, str)}
        return next((role for role in ROLES if named.intersection(self.groups.get(role, ()))), None)


@dataclass(frozen=True)
class Client:
    """A client at the issuer; `secret` is empty for a public one. `ca`: who vouches for the issuer."""

    id: str
    secret: str = field(default="", repr=False)
    ca: Path | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> Client:
        """Return the client that a mounted Secret describes.

        Raises:
            BadInput: a file is not there.
        """
        secret, ca = folder / "client_secret", folder / "ca.crt"
        return cls(
            id=_text(folder / "client_id").strip(),
            secret=_text(secret).strip() if secret.exists() else "",
            ca=ca if ca.exists() and ca.stat().st_size else None,
        )


def read_sign_in(path: Path) -> SignIn | None:
    """Return the sign-in that a file describes, or None where the site has none (`{}`).

    Raises:
        BadInput: the file cannot be read, or is not what is expected.
    """
    try:
        told = json.loads(_text(path))
        return SignIn.model_validate(told) if told else None
    except ValidationError as error:
        found = [Finding(f"{path}: {'.'.join(map(str, d['loc']))}", d["msg"]) for d in error.errors()]
        raise BadInput(found) from error
    except ValueError as error:
        raise BadInput(Finding(str(path), f"is not JSON: {error}")) from error


def _text(path: Path) -> str:
    try:
        with path.open() as file:
            return file.read(CONFIG_BYTES)
    except OSError as error:
        raise BadInput(Finding(str(path), str(error.strerror))) from error
