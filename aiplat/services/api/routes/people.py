"""/people: who signed in by name and in which team they are; /me/keys: the keys they make themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response, status
from pydantic import Field

from aiplat.errors import Finding
from aiplat.services.api.accounts import KEY_ID, IssuedKeyView, KeyView, OwnKeyWish, TeamName
from aiplat.services.api.accounts_context import Here
from aiplat.services.api.callers import PREFIX, Asking, needs
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import FORBIDDEN, ApiProblem, as_things_stand, problems
from aiplat.services.store.keys import NewKey, Role
from aiplat.services.store.own_keys import create_own_key
from aiplat.services.store.people import KnownPerson, get_person, list_people, put_into_team

router = APIRouter(tags=["people"], responses=problems(401, 403, 422, 503))

PersonId = Annotated[str, Path(pattern=KEY_ID, examples=["person-0a1b2c3d4e5f60718293a4b5"])]


class PersonView(Document):
    """Somebody who signed in by name."""

    id: str
    issuer: str
    subject: str
    name: str
    role: Role | None = Field(description="As the sign-in last told; null: may no longer enter.")
    team: str = Field(description="Empty where it is in none.")
    first_seen: datetime
    last_seen: datetime

    @classmethod
    def of(cls, person: KnownPerson) -> PersonView:
        """Return a person as a document."""
        return cls(**{name: getattr(person, name) for name in cls.model_fields})


class PeopleView(Document):
    """Everybody who ever signed in by name."""

    people: tuple[PersonView, ...]


class PersonChange(Document):
    """The team that a person is to be in; empty: none."""

    team: Literal[""] | TeamName


@router.get("/people", operation_id="listPeople", **needs("operator"))
async def list_all(here: Here) -> PeopleView:
    """Return everybody who ever signed in by name."""
    return PeopleView(people=tuple(map(PersonView.of, await list_people(here.database))))


@router.patch("/people/{person}", operation_id="changePerson", responses=problems(404, 409), **needs("admin"))
async def change(person: PersonId, wish: PersonChange, here: Here, caller: Asking) -> PersonView:
    """Put a person into a team; its keys go along."""
    with as_things_stand():
        return PersonView.of(await put_into_team(here.database, person, wish.team, caller.id))


@router.post(
    "/me/keys",
    operation_id="createMyKey",
    status_code=status.HTTP_201_CREATED,
    responses=problems(409),
    **needs("member"),
)
async def create(wish: OwnKeyWish, here: Here, caller: Asking, response: Response) -> IssuedKeyView:
    """Make a key of one's own, in one's team; its secret is in this answer and nowhere else."""
    if not caller.owner:
        finding = Finding(str(caller), "is a key, and a key makes none of its own", "sign in by name")
        raise ApiProblem(FORBIDDEN, finding)
    if not caller.team:
        raise caller.without_team()
    new = NewKey(name=wish.name, models=wish.models, expires_at=wish.expires_at)
    with as_things_stand():
        issued = await create_own_key(here.database, await get_person(here.database, caller.id), new)
    response.headers["Location"] = f"{PREFIX}/keys/{issued.record.id}"
    return IssuedKeyView(key=KeyView.of(issued.record), secret=issued.secret)
