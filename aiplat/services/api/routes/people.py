"""/people: who may sign in and who did, in which groups and team; /me/keys: the keys they make themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response, status
from pydantic import Field, StrictBool, StringConstraints

from aiplat.errors import BadInput, Finding
from aiplat.services.api.accounts import KEY_ID, IssuedKeyView, KeyView, OwnKeyWish, TeamName, Title
from aiplat.services.api.accounts_context import AccountsContext, Here
from aiplat.services.api.callers import PREFIX, Asking, needs
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import FORBIDDEN, ApiProblem, as_things_stand, problems
from aiplat.services.people.desk import Desk
from aiplat.services.people.directory import Account, Invitation
from aiplat.services.store.awaited import Awaited, list_awaited
from aiplat.services.store.faults import NotThere
from aiplat.services.store.keys import NewKey, Role
from aiplat.services.store.own_keys import create_own_key
from aiplat.services.store.people import KnownPerson, get_person, list_people

router = APIRouter(tags=["people"], responses=problems(401, 403, 422, 503))

PersonId = Annotated[str, Path(pattern=KEY_ID, examples=["person-0a1b2c3d4e5f60718293a4b5"])]
ToldName = Annotated[str, Path(pattern=r"^[^\x00-\x1f\x7f/]{1,100}$", examples=["ada"])]
UserName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"), Field(examples=["ada"])
]
Group = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"), Field(examples=["member"])
]
Groups = Annotated[tuple[Group, ...], Field(max_length=50)]
MailAddress = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}@[!-~]{1,190}$")]

# A default that stands in the description would be sent by clients made from it, and change something.
_LEFT_OUT: Any = Field(default_factory=lambda: None)


class AccountView(Document):
    """Somebody at the site's own sign-in."""

    user: str = Field(description="What the person signs in with.")
    groups: tuple[str, ...]
    email: str | None
    state: Literal["invited", "active", "locked"] = Field(
        description="`invited` until a password is set; `locked` by an admin."
    )

    @classmethod
    def of(cls, account: Account) -> AccountView:
        """Return an account as a document."""
        return cls(user=account.name, groups=account.groups, email=account.email, state=account.state)


class PersonView(Document):
    """Somebody who signed in by name, or may."""

    id: str
    issuer: str
    subject: str = Field(description="Empty where the name alone is known, until the first sign-in.")
    name: str
    role: Role | None = Field(description="As the sign-in last told; null: may not enter.")
    team: str = Field(description="Empty where it is in none.")
    first_seen: datetime | None = Field(description="null: never signed in.")
    last_seen: datetime | None
    account: AccountView | None = Field(
        description="What the site's own sign-in has, for admins; null: it is not there, or not asked."
    )

    @classmethod
    def of(cls, person: KnownPerson, account: Account | None = None) -> PersonView:
        """Return somebody who signed in as a document."""
        shown = {name: getattr(person, name) for name in cls.model_fields if name != "account"}
        return cls(**shown, account=AccountView.of(account) if account else None)

    @classmethod
    def expected(cls, desk: Desk, account: Account, team: str = "") -> PersonView:
        """Return somebody who may sign in, and did not yet, as a document."""
        return cls(
            id=desk.id_of(account),
            issuer=desk.sign_in.issuer,
            subject=account.id,
            name=account.name,
            role=desk.role_of(account),
            team=team,
            first_seen=None,
            last_seen=None,
            account=AccountView.of(account),
        )

    @classmethod
    def awaited(cls, person: Awaited) -> PersonView:
        """Return somebody of whom the name alone is known, and the team that waits, as a document."""
        shown = {"id": person.id, "issuer": person.issuer, "name": person.name, "team": person.team}
        return cls(**shown, subject="", role=None, first_seen=None, last_seen=None, account=None)


class PeopleView(Document):
    """Everybody who ever signed in by name; for admins also who may and did not yet."""

    people: tuple[PersonView, ...]


class PersonWish(Document):
    """Somebody who is to sign in; what they may is decided by the groups: admin, operator, member."""

    user: UserName
    groups: Groups = ()
    email: MailAddress | None = None
    full_name: Title | None = None


class Placement(Document):
    """The team somebody is to be in, signed in or not; empty: none."""

    team: Literal[""] | TeamName


class PersonChange(Document):
    """What is to change; what is left out stays. `team` empty: none; `groups`: these and no others."""

    team: Literal[""] | TeamName = _LEFT_OUT
    groups: Groups = _LEFT_OUT
    locked: StrictBool = _LEFT_OUT


class InvitedView(Document):
    """Somebody with a new link to set a password: it serves once, until then, and is nowhere else."""

    person: PersonView
    link: str
    expires: datetime


@router.get("/people", operation_id="listPeople", **needs("operator"))
async def list_all(here: Here, caller: Asking) -> PeopleView:
    """Return everybody who ever signed in by name; admins also get who may and did not yet."""
    desk = _desk_if_any(here) if caller.has("admin") else None
    accounts = await desk.everybody() if desk else {}
    seen = [PersonView.of(p, accounts.pop(p.id, None)) for p in await list_people(here.database)]
    awaited = {one.id: one for one in await list_awaited(here.database)} if caller.has("admin") else {}
    later = [
        PersonView.expected(desk, one, _team(awaited.pop(named, None)))
        for named, one in accounts.items()
        if desk
    ]
    return PeopleView(people=(*seen, *later, *map(PersonView.awaited, awaited.values())))


@router.post(
    "/people",
    operation_id="invitePerson",
    status_code=status.HTTP_201_CREATED,
    responses=problems(409),
    **needs("admin"),
)
async def invite(wish: PersonWish, here: Here, caller: Asking) -> InvitedView:
    """Add somebody to the site's own sign-in; the answer has the link with which they set a password."""
    with as_things_stand():
        desk = here.desk()
        made = await desk.invite(
            caller.id, wish.user, wish.groups, email=wish.email, full_name=wish.full_name
        )
        return await _invited(here, desk, made)


@router.patch("/people/{person}", operation_id="changePerson", responses=problems(404, 409), **needs("admin"))
async def change(person: PersonId, wish: PersonChange, here: Here, caller: Asking) -> PersonView:
    """Put a person into a team (its keys go along) or into groups, lock them out or let them in again."""
    with as_things_stand():
        if "team" in wish.model_fields_set:
            await here.placing().by_id(caller.id, person, wish.team)
        if "groups" in wish.model_fields_set:
            await here.desk().set_groups(caller.id, person, wish.groups)
        if "locked" in wish.model_fields_set:
            await here.desk().set_locked(caller.id, person, wish.locked)
        return await _one(here, person)


@router.patch(
    "/people/by-name/{user}", operation_id="placePerson", responses=problems(404, 409), **needs("admin")
)
async def place(user: ToldName, wish: Placement, here: Here, caller: Asking) -> PersonView:
    """Put somebody into a team by the name they sign in with; before the first sign-in it waits for them."""
    with as_things_stand():
        person = await here.placing().by_name(caller.id, user, wish.team)
        return await _one(here, person)


@router.post(
    "/people/{person}/link", operation_id="linkPerson", responses=problems(404, 409), **needs("admin")
)
async def link(person: PersonId, here: Here, caller: Asking) -> InvitedView:
    """Make a new link for somebody who forgot the password; the one before is worth nothing then."""
    with as_things_stand():
        desk = here.desk()
        return await _invited(here, desk, await desk.link(caller.id, person))


@router.delete(
    "/people/{person}",
    operation_id="removePerson",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 409),
    **needs("admin"),
)
async def remove(person: PersonId, here: Here, caller: Asking) -> None:
    """Remove a person from the site's own sign-in: sessions end, keys are refused within 2 seconds."""
    with as_things_stand():
        await here.desk().remove(caller.id, person)


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


def _desk_if_any(here: AccountsContext) -> Desk | None:
    try:
        return here.desk()
    except BadInput:
        return None


async def _one(here: AccountsContext, named: str) -> PersonView:
    desk = _desk_if_any(here)
    account = (await desk.everybody()).get(named) if desk else None
    return await _view(here, desk, named, account)


async def _view(here: AccountsContext, desk: Desk | None, named: str, account: Account | None) -> PersonView:
    try:
        return PersonView.of(await get_person(here.database, named), account)
    except NotThere:
        awaited = next((one for one in await list_awaited(here.database) if one.id == named), None)
        if desk is not None and account is not None:
            return PersonView.expected(desk, account, _team(awaited))
        if awaited is None:
            raise
        return PersonView.awaited(awaited)


def _team(awaited: Awaited | None) -> str:
    return awaited.team if awaited else ""


async def _invited(here: AccountsContext, desk: Desk, made: Invitation) -> InvitedView:
    view = await _view(here, desk, desk.id_of(made), made)
    return InvitedView(person=view, link=made.link, expires=made.expires)
