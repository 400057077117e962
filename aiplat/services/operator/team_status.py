"""What a Team is told of itself: state, one sentence, conditions, and what deleting it would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiplat.services.operator.state import dated
from aiplat.services.operator.team_spec import TeamRefusal, TeamSpec

Document = dict[str, Any]


@dataclass(frozen=True)
class TeamSeen:
    """What a pass knows beside a Team: refusals by uid, what the gateway could not be told, GPU resources."""

    refused: Mapping[str, TeamRefusal] = field(default_factory=dict)
    told: str = ""
    gpus: list[str] = field(default_factory=list)


def team_status(  # noqa: PLR0913 - four things that were seen, what was told before, and the time
    team: TeamSpec,
    refusal: TeamRefusal | None,
    problem: str,
    accounts: str | None,
    *,
    before: Document,
    now: str,
) -> Document:
    """Return the status of a Team; conditions keep the time of their last change from `before`.

    `problem` is what kept it from being made. `accounts` is what kept the gateway from being told, and None
    where the site keeps no accounts.
    """
    conditions = list(_conditions(team, refusal, problem, accounts))
    return {
        "observedGeneration": team.generation,
        "phase": "Refused" if refusal else "Failing" if problem else "Ready",
        "message": conditions[0]["message"],
        "namespace": "" if refusal else team.namespace,
        "deletion": _deletion(team, refusal),
        "conditions": [
            dated({**c, "observedGeneration": team.generation}, before.get("conditions", ()), now)
            for c in conditions
        ],
    }


def _conditions(
    team: TeamSpec, refusal: TeamRefusal | None, problem: str, accounts: str | None
) -> Iterable[Document]:
    if refusal:
        yield _condition("Ready", False, refusal.reason, refusal.message)
        return
    if problem:
        yield _condition("Ready", False, "NotMade", problem)
    else:
        yield _condition("Ready", True, "Made", f"{_people(team)} may work in {team.namespace}")
    if accounts is None:
        message = "the site keeps no accounts, so models and budgets limit nothing; turn postgresql on"
        yield _condition("Accounts", False, "NoAccounts", message)
    elif accounts:
        yield _condition("Accounts", False, "NotTold", accounts)
    else:
        message = "models and budgets are the gateway's within two minutes of a change"
        yield _condition("Accounts", True, "Told", message)


def _people(team: TeamSpec) -> str:
    counts = [(len(team.members), "member"), (len(team.groups), "group")]
    named = [f"{number} {what}{'' if number == 1 else 's'}" for number, what in counts if number]
    return " and ".join(named) or "nobody, before members or groups are named,"


def _deletion(team: TeamSpec, refusal: TeamRefusal | None) -> str:
    if refusal:
        return "nothing is lost: this Team has no namespace"
    if team.deletes:
        return f"the namespace {team.namespace} is deleted with this Team, and every volume and object in it"
    return f"the namespace {team.namespace} stays with everything in it; the members' access ends"


def _condition(kind: str, is_true: bool, reason: str, message: str) -> Document:
    return {"type": kind, "status": "True" if is_true else "False", "reason": reason, "message": message}
