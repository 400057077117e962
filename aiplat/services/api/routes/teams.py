"""/teams: teams and their budgets; a member sees its own, an admin makes and ends them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response, status

from aiplat.services.api.accounts import (
    TEAM,
    Budgets,
    BudgetWish,
    TeamChange,
    TeamView,
    TeamWish,
    budget_of,
)
from aiplat.services.api.accounts_context import Here
from aiplat.services.api.callers import PREFIX, Asking, Caller, needs
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import as_things_stand, not_found, problems
from aiplat.services.store.budgets import Unit, budget_states, remove_budget, set_budget
from aiplat.services.store.teams import NewTeam, change_team, create_team, delete_team, get_team, list_teams
from aiplat.services.store.windows import Period

router = APIRouter(prefix="/teams", tags=["teams"], responses=problems(401, 403, 422, 503))

TeamId = Annotated[str, Path(pattern=TEAM, examples=["ward-3"])]


class Teams(Document):
    """Teams, by name."""

    teams: tuple[TeamView, ...]


@router.get("", operation_id="listTeams", **needs("member"))
async def list_all(here: Here, caller: Asking) -> Teams:
    """Return all teams; a member gets its own."""
    teams = await list_teams(here.database)
    return Teams(teams=tuple(TeamView.of(t) for t in teams if _may_see(caller, t.name)))


@router.post(
    "",
    operation_id="createTeam",
    status_code=status.HTTP_201_CREATED,
    responses=problems(409),
    **needs("admin"),
)
async def create(wish: TeamWish, here: Here, caller: Asking, response: Response) -> TeamView:
    """Make a team."""
    new = NewTeam(**{name: getattr(wish, name) for name in TeamWish.model_fields})
    with as_things_stand():
        team = await create_team(here.database, new, caller.id)
    response.headers["Location"] = f"{PREFIX}/teams/{team.name}"
    return TeamView.of(team)


@router.get("/{team}", operation_id="getTeam", responses=problems(404), **needs("member"))
async def get(team: TeamId, here: Here, caller: Asking) -> TeamView:
    """Return a team; for a member, another team is as if it were not there."""
    _must_see(caller, team)
    return TeamView.of(await get_team(here.database, team))


@router.patch("/{team}", operation_id="changeTeam", responses=problems(404, 409), **needs("admin"))
async def change(team: TeamId, changes: TeamChange, here: Here, caller: Asking) -> TeamView:
    """Change a team; what is left out stays, null takes a limit away."""
    fields = {name: getattr(changes, name) for name in changes.model_fields_set}
    with as_things_stand():
        return TeamView.of(await change_team(here.database, team, caller.id, **fields))


@router.delete(
    "/{team}",
    operation_id="deleteTeam",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 409),
    **needs("admin"),
)
async def delete(team: TeamId, here: Here, caller: Asking) -> None:
    """Remove a team to which no key belongs any more; what it used stays."""
    with as_things_stand():
        await delete_team(here.database, team, caller.id)


@router.get("/{team}/budgets", operation_id="listTeamBudgets", responses=problems(404), **needs("member"))
async def list_budgets(team: TeamId, here: Here, caller: Asking) -> Budgets:
    """Return the team's budgets and what is used of them."""
    _must_see(caller, team)
    await get_team(here.database, team)
    return Budgets.of(await budget_states(here.database, "team", team))


@router.put("/{team}/budgets", operation_id="setTeamBudget", responses=problems(404, 409), **needs("admin"))
async def put_budget(team: TeamId, wish: BudgetWish, here: Here, caller: Asking) -> Budgets:
    """Set the team's budget of a unit and period, instead of the one there was; return all of the team's."""
    await get_team(here.database, team)
    with as_things_stand():
        await set_budget(here.database, budget_of(wish, "team", team), caller.id)
    return Budgets.of(await budget_states(here.database, "team", team))


@router.delete(
    "/{team}/budgets/{unit}/{period}",
    operation_id="removeTeamBudget",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404),
    **needs("admin"),
)
async def delete_budget(team: TeamId, unit: Unit, period: Period, here: Here, caller: Asking) -> None:
    """Remove a budget of the team."""
    await remove_budget(here.database, scope="team", subject=team, unit=unit, period=period, actor=caller.id)


def _may_see(caller: Caller, team: str) -> bool:
    return caller.has("operator") or caller.team == team


def _must_see(caller: Caller, team: str) -> None:
    if not _may_see(caller, team):
        raise not_found(f"team {team}", f"{PREFIX}/teams")
