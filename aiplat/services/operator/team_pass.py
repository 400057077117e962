"""One pass over all Teams: makes what differs, ends what has no Team any more, tells gateway and Teams.

Like a pass over Models it remembers nothing, and no Team has a finalizer: a Team can always be deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiplat.errors import AiplatError
from aiplat.services.operator.model_spec import MANAGED_BY
from aiplat.services.operator.reconcile import Objects
from aiplat.services.operator.team_objects import GATEWAY_TEAMS, Platform, gateway_teams, team_objects
from aiplat.services.operator.team_spec import (
    DELETION_POLICY,
    TEAM,
    TeamRefusal,
    TeamSpec,
    refusals,
    team_spec_of,
)
from aiplat.services.operator.team_status import TeamSeen, team_status

Document = dict[str, Any]
Made = dict[tuple[str, str, str], Document]

_OURS = f"{TEAM},{MANAGED_BY}=operator"
_IN_NAMESPACES = ("ResourceQuota", "LimitRange", "NetworkPolicy", "RoleBinding")
_GPUS = "nvidia.com/"

log = logging.getLogger("aiplat.operator")


@dataclass(frozen=True)
class TeamKeeper:
    """Makes the cluster as the Teams say; without `accounts` nobody counts what their keys use."""

    objects: Objects
    platform: Platform
    accounts: bool = True

    def run(self) -> bool:
        """Do one pass; whether all is settled. What cannot be had is logged: Models do not wait for it."""
        try:
            return self._pass()
        except AiplatError as error:
            log.warning("teams stay as they are: %s", error)
            return False

    def _pass(self) -> bool:
        documents = [
            d for d in self.objects.listed("Team.aiplat.dev") if not d["metadata"].get("deletionTimestamp")
        ]
        teams = {d["metadata"]["uid"]: team_spec_of(d) for d in documents}
        namespaces = {d["metadata"]["name"]: d for d in self.objects.listed("Namespace")}
        refused = refusals(teams.values(), namespaces)
        kept = [team for uid, team in teams.items() if uid not in refused]
        if not teams and not any(_is_ours(d) for d in namespaces.values()):
            return True
        made = {**self._made(), **{("Namespace", "", name): d for name, d in namespaces.items()}}
        told = self._tell_gateway(kept)
        gpus = sorted(self._gpus()) if kept else []
        settled = [
            self._one(d, teams[d["metadata"]["uid"]], made, TeamSeen(refused=refused, told=told, gpus=gpus))
            for d in documents
        ]
        self._end(teams, kept, made)
        return all(settled)

    def _made(self) -> Made:
        found = [d for kind in _IN_NAMESPACES for d in self.objects.listed(kind, "", _OURS)]
        found += self.objects.listed("ServiceAccount", self.platform.namespace, _OURS)
        return {_key(document): document for document in found}

    def _gpus(self) -> Iterator[str]:
        for node in self.objects.listed("Node"):
            allocatable = node.get("status", {}).get("allocatable", {})
            yield from {name for name in allocatable if name.startswith(_GPUS)}

    def _one(self, document: Document, team: TeamSpec, made: Made, seen: TeamSeen) -> bool:
        """Bring one Team nearer to what it should be, and say how it stands; whether it is there."""
        problem = ""
        refusal = seen.refused.get(team.uid)
        namespace = made.get(("Namespace", "", team.namespace), {"metadata": {}})
        if namespace["metadata"].get("deletionTimestamp") and not refusal:
            problem = f"the namespace {team.namespace} is being deleted; it is made again after that"
        elif not refusal:
            problem = self._make(team, made, seen.gpus)
        self._tell(document, team, refusal, problem, seen.told)
        return not problem

    def _make(self, team: TeamSpec, made: Made, gpus: list[str]) -> str:
        """Make what differs of a Team; what went wrong, empty where nothing did."""
        try:
            for wanted in team_objects(team, self.platform, gpus):
                if not _says(made.get(_key(wanted)), wanted):
                    self.objects.apply(wanted)
        except AiplatError as error:
            log.warning("Team %s: %s", team.name, error)
            return str(error)
        return ""

    def _tell_gateway(self, teams: list[TeamSpec]) -> str:
        """Keep the gateway's file of teams; what went wrong, empty where nothing did."""
        wanted = gateway_teams(teams, self.platform.gateway_namespace)
        if not self.accounts:
            return ""
        try:
            there = self.objects.read("ConfigMap", self.platform.gateway_namespace, GATEWAY_TEAMS)
            if not _says(there, wanted):
                self.objects.apply(wanted)
        except AiplatError as error:
            log.warning("the gateway is not told of teams: %s", error)
            return str(error)
        return ""

    def _tell(
        self, document: Document, team: TeamSpec, refusal: TeamRefusal | None, problem: str, told: str
    ) -> None:
        before = document.get("status", {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        accounts = told if self.accounts else None
        status = team_status(team, refusal, problem, accounts, before=before, now=now)
        if status == before:
            return
        if status["phase"] != before.get("phase"):
            log.info("Team %s: %s: %s", team.name, status["phase"], status["message"])
        said = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Team", "metadata": {"name": team.name}}
        try:
            self.objects.apply({**said, "status": status}, "status")
        except AiplatError as error:
            log.warning("Team %s: %s", team.name, error)

    def _end(self, teams: Mapping[str, TeamSpec], kept: list[TeamSpec], made: Made) -> None:
        """End what has no Team any more; the namespace stays, unless its Team said Delete."""
        spaces, accounts = {team.namespace for team in kept}, {team.account for team in kept}
        names = {team.name for team in teams.values()}
        for (kind, namespace, name), document in made.items():
            access = (kind == "RoleBinding" and namespace not in spaces) or (
                kind == "ServiceAccount" and name not in accounts
            )
            if access or (kind == "Namespace" and _goes(document, names)):
                log.info("%s %s: its Team is gone or refused, and so it goes", kind, namespace or name)
                try:
                    self.objects.delete(kind, namespace, name, document["metadata"]["uid"])
                except AiplatError as error:
                    log.warning("%s %s: %s", kind, namespace or name, error)


def _goes(namespace: Document, names: set[str]) -> bool:
    """Whether a namespace goes with its Team, which is not there any more."""
    meta = namespace["metadata"]
    if not _is_ours(namespace) or meta.get("deletionTimestamp") or meta["labels"][TEAM] in names:
        return False
    return bool(meta.get("annotations", {}).get(DELETION_POLICY) == "Delete")


def _is_ours(namespace: Document) -> bool:
    labels = namespace["metadata"].get("labels", {})
    return TEAM in labels and labels.get(MANAGED_BY) == "operator"


def _key(document: Document) -> tuple[str, str, str]:
    meta = document["metadata"]
    return document["kind"], meta.get("namespace", ""), meta["name"]


def _says(there: Any, wanted: Any) -> bool:
    """Whether an object has all that is wanted of it; what others added beside that is theirs."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        return all(key in there and _says(there[key], value) for key, value in wanted.items())
    if isinstance(there, list) and isinstance(wanted, list):
        return len(there) == len(wanted) and all(_says(a, b) for a, b in zip(there, wanted, strict=True))
    return bool(there == wanted)
