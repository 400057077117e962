"""/keys: API keys; a member sees those of its own team, an admin makes and ends them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from aiplat.errors import Finding
from aiplat.services.api.accounts import (
    KEY_ID,
    TEAM,
    Budgets,
    BudgetWish,
    IssuedKeyView,
    KeyChange,
    KeyView,
    KeyWish,
    Rotation,
    budget_of,
)
from aiplat.services.api.accounts_context import AccountsContext, Here
from aiplat.services.api.callers import PREFIX, Asking, Caller, needs
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import CONFLICT, FORBIDDEN, ApiProblem, as_things_stand, not_found, problems
from aiplat.services.store.budgets import Unit, budget_states, remove_budget, set_budget
from aiplat.services.store.faults import NotThere
from aiplat.services.store.keys import (
    KeyRecord,
    change_key,
    create_key,
    get_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from aiplat.services.store.people import playground_key
from aiplat.services.store.windows import Period

router = APIRouter(prefix="/keys", tags=["keys"], responses=problems(401, 403, 422, 503))

KeyId = Annotated[str, Path(pattern=KEY_ID, examples=["key-0a1b2c3d4e5f"])]


class Keys(Document):
    """Keys, without their secrets."""

    keys: tuple[KeyView, ...]


@router.get("", operation_id="listKeys", **needs("member"))
async def list_all(
    here: Here,
    caller: Asking,
    team: Annotated[str | None, Query(pattern=TEAM)] = None,
    revoked: Annotated[bool, Query(description="Also those that were revoked.")] = False,
) -> Keys:
    """Return the keys, those of one team where it is named; a member gets those of its own team.

    A person without a team gets its own.
    """
    own = caller.owner if caller.owner and not (caller.team or team or caller.has("operator")) else None
    asked = None if own else caller.team_asked(team)
    records = await list_keys(here.database, team=asked, owner=own, revoked=revoked)
    return Keys(keys=tuple(map(KeyView.of, records)))


@router.post(
    "",
    operation_id="createKey",
    status_code=status.HTTP_201_CREATED,
    responses=problems(404, 409),
    **needs("admin"),
)
async def create(wish: KeyWish, here: Here, caller: Asking, response: Response) -> IssuedKeyView:
    """Make a key; its secret is in this answer and nowhere else."""
    with as_things_stand():
        issued = await create_key(here.database, wish.as_new_key(), caller.id)
    response.headers["Location"] = f"{PREFIX}/keys/{issued.record.id}"
    return IssuedKeyView(key=KeyView.of(issued.record), secret=issued.secret)


@router.get("/{key}", operation_id="getKey", responses=problems(404), **needs("member"))
async def get(key: KeyId, here: Here, caller: Asking) -> KeyView:
    """Return a key."""
    return KeyView.of(await _visible(here, caller, key))


@router.patch("/{key}", operation_id="changeKey", responses=problems(404, 409), **needs("admin"))
async def change(key: KeyId, changes: KeyChange, here: Here, caller: Asking) -> KeyView:
    """Change a key; what is left out stays, null takes a limit away."""
    fields = {name: getattr(changes, name) for name in changes.model_fields_set}
    with as_things_stand():
        return KeyView.of(await change_key(here.database, key, caller.id, **fields))


@router.post("/{key}/rotate", operation_id="rotateKey", responses=problems(404, 409), **needs("member"))
async def rotate(key: KeyId, here: Here, caller: Asking, rotation: Rotation | None = None) -> IssuedKeyView:
    """Give a key another secret; the old one ends at once, or after a grace. A member may rotate its own.

    A secret that was replaced and is in its grace rotates nothing: it would outlive the grace.
    """
    if caller.old_secret:
        finding = Finding(str(caller), "has another secret by now", "rotate with the new one")
        raise ApiProblem(FORBIDDEN, finding)
    if not caller.has("admin") and caller.id != key:
        await _own(here, caller, key, "may rotate what is its own alone")
    grace = timedelta(seconds=rotation.grace_seconds if rotation else 0)
    with as_things_stand():
        issued = await rotate_key(here.database, key, caller.id, grace)
    return IssuedKeyView(key=KeyView.of(issued.record), secret=issued.secret)


@router.delete("/{key}", operation_id="revokeKey", responses=problems(404, 409), **needs("member"))
async def revoke(key: KeyId, here: Here, caller: Asking) -> KeyView:
    """End a key for good; it is refused everywhere within 2 seconds. Others than admins may end their own."""
    if not caller.has("admin"):
        await _own(here, caller, key, "may revoke what is its own alone")
    if key == caller.id:
        fix = "rotate it, or revoke it with another admin's key"
        raise ApiProblem(CONFLICT, Finding(f"key {key}", "is the one this request was made with", fix))
    return KeyView.of(await revoke_key(here.database, key, caller.id))


@router.get("/{key}/budgets", operation_id="listKeyBudgets", responses=problems(404), **needs("member"))
async def list_budgets(key: KeyId, here: Here, caller: Asking) -> Budgets:
    """Return the key's budgets and what is used of them."""
    await _visible(here, caller, key)
    return Budgets.of(await budget_states(here.database, "key", key))


@router.put("/{key}/budgets", operation_id="setKeyBudget", responses=problems(404, 409), **needs("admin"))
async def put_budget(key: KeyId, wish: BudgetWish, here: Here, caller: Asking) -> Budgets:
    """Set the key's budget of a unit and period, instead of the one there was; return all of the key's."""
    await get_key(here.database, key)
    with as_things_stand():
        await set_budget(here.database, budget_of(wish, "key", key), caller.id)
    return Budgets.of(await budget_states(here.database, "key", key))


@router.delete(
    "/{key}/budgets/{unit}/{period}",
    operation_id="removeKeyBudget",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404),
    **needs("admin"),
)
async def delete_budget(key: KeyId, unit: Unit, period: Period, here: Here, caller: Asking) -> None:
    """Remove a budget of the key."""
    await remove_budget(here.database, scope="key", subject=key, unit=unit, period=period, actor=caller.id)


async def _visible(here: AccountsContext, caller: Caller, key: str) -> KeyRecord:
    """Return a key that the caller may see; another team's is as if it were not there."""
    try:
        record = await get_key(here.database, key)
    except NotThere:
        raise not_found(f"key {key}", f"{PREFIX}/keys") from None
    of_own = caller.owner and record.owner == caller.owner
    if caller.has("operator") or caller.id == key or of_own or (caller.team and record.team == caller.team):
        return record
    raise not_found(f"key {key}", f"{PREFIX}/keys")


async def _own(here: AccountsContext, caller: Caller, key: str, problem: str) -> None:
    """Refuse a key that the caller may see and that another's hands are for."""
    record = await _visible(here, caller, key)
    if not caller.owner or record.owner != caller.owner or key == playground_key(caller.owner):
        raise ApiProblem(FORBIDDEN, Finding(str(caller), problem, "ask an admin"))
