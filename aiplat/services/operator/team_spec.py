"""What a Team object asks for, and which Teams are refused; asks the cluster nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

TEAM = "aiplat.dev/team"
DELETION_POLICY = "aiplat.dev/deletion-policy"


@dataclass(frozen=True)
class TeamSpec:
    """A Team as wanted; its `members` and `groups` are names of the sign-in."""

    name: str
    uid: str
    generation: int
    created: str
    namespace: str
    description: str = ""
    members: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    budgets: tuple[Mapping[str, Any], ...] = ()
    quota: Mapping[str, str | int] = field(default_factory=dict)
    deletes: bool = False

    @property
    def account(self) -> str:
        """The name of the team's own account, for who has no sign-in."""
        return f"team-{self.name}"


@dataclass(frozen=True)
class TeamRefusal:
    """Why a Team gets nothing: a word for programs and a sentence for people."""

    reason: str
    message: str


def team_spec_of(document: Document) -> TeamSpec:
    """Return what a Team asks for."""
    meta, spec = document["metadata"], document["spec"]
    return TeamSpec(
        name=meta["name"],
        uid=meta["uid"],
        generation=meta.get("generation", 0),
        created=meta.get("creationTimestamp", ""),
        namespace=spec.get("namespace") or f"team-{meta['name']}",
        description=spec.get("description", ""),
        members=tuple(spec.get("members", ())),
        groups=tuple(spec.get("groups", ())),
        models=tuple(spec.get("models", ())),
        budgets=tuple(spec.get("budgets", ())),
        quota=spec.get("quota", {}),
        deletes=spec.get("deletionPolicy") == "Delete",
    )


def refusals(teams: Iterable[TeamSpec], namespaces: Mapping[str, Document]) -> dict[str, TeamRefusal]:
    """Return by uid why Teams are refused: another one was first, or the namespace is not theirs."""
    found: dict[str, TeamRefusal] = {}
    owners: dict[str, str] = {}
    for team in sorted(teams, key=lambda t: (t.created, t.name)):
        there = namespaces.get(team.namespace)
        owner = owners.setdefault(team.namespace, team.name)
        if owner != team.name:
            message = f"the namespace {team.namespace} is that of the Team {owner}; name another one"
            found[team.uid] = TeamRefusal("NamespaceTaken", message)
        elif there and there["metadata"].get("labels", {}).get(TEAM) != team.name:
            message = (
                f"the namespace {team.namespace} is there and is not this team's; "
                f"name another one, or label it {TEAM}={team.name}"
            )
            found[team.uid] = TeamRefusal("NamespaceTaken", message)
    return found
