"""`aiplat usage`: what keys and teams used and have left, as the gateway's accounts say; shows nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Literal

from pydantic import Field

from aiplat.cluster.client import Cluster
from aiplat.cluster.objects import Pod
from aiplat.content import parsed_json
from aiplat.errors import EXIT_BAD_INPUT, EXIT_FAILED, AiplatError, BadInput, Finding
from aiplat.fleet.tunnel import way_to
from aiplat.frozen import Frozen
from aiplat.site.models import Site

_NAMESPACE, _GATEWAY = "aiplat-access", "app.kubernetes.io/name=gateway"
_ACCOUNTS = "/etc/aiplat/accounts/accounts.json"
_SECONDS = 300.0
"""The database has limits of its own, and a busy gateway takes its time to start a program."""


class BudgetUse(Frozen):
    """A budget in its present day or month (UTC); `until` is the first day after it."""

    scope: Literal["key", "team"]
    subject: str
    unit: str
    period: str
    limit: str
    used: str
    left: str
    until: date


class Amounts(Frozen):
    """What was used; `failed` are requests that no answer came of, cost is in the money of the prices."""

    requests: int
    failed: int
    prompt_tokens: int = Field(alias="promptTokens")
    completion_tokens: int = Field(alias="completionTokens")
    cost: str


class KeyUsage(Amounts):
    """What one key used."""

    key: str
    name: str
    team: str


class TeamUsage(Amounts):
    """What a team's keys used."""

    team: str


class SiteUsage(Frozen):
    """What a site's keys and teams used since a day (UTC), and their budgets."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Usage"] = "Usage"
    site: str
    since: date
    keys: tuple[KeyUsage, ...]
    teams: tuple[TeamUsage, ...]
    budgets: tuple[BudgetUse, ...]


def usage(site: Site, since: date | None = None) -> SiteUsage:
    """Ask the site's gateway what was used since a day, or since this month began (UTC).

    Raises:
        BadInput: there is no cluster yet, or the gateway keeps no accounts.
        AiplatError: the cluster, the gateway or its database cannot be asked.
    """
    begun = since or datetime.now(UTC).date().replace(day=1)
    cluster = Cluster.of_site(site.name, way_to(site))
    pod = _gateway(site, cluster)
    command = ["python3", "-m", "aiplat.services.gateway.used", _ACCOUNTS, begun.isoformat()]
    ran = cluster.run_in_pod(pod, command, _SECONDS)
    if ran.code != 0:
        raise _failure(site, ran.code, ran.output)
    try:
        told: dict[str, Any] = parsed_json(ran.output.partition("\n")[0])
        return SiteUsage(site=site.name, since=begun, **told)
    except (ValueError, TypeError):
        raise _failure(site, EXIT_FAILED, "its answer is not understood") from None


def _gateway(site: Site, cluster: Cluster) -> Pod:
    pods = sorted(cluster.pods(_NAMESPACE, _GATEWAY), key=lambda pod: (not pod.ready, pod.name))
    if not pods or not pods[0].ready:
        fix = "look with `aiplat status`, then run `aiplat bootstrap`"
        raise AiplatError(Finding(f"site {site.name}", "its gateway does not run", fix))
    return pods[0]


def _failure(site: Site, code: int, output: str) -> AiplatError:
    said = (output.strip().splitlines() or [f"exit code {code}"])[-1]
    where = f"the gateway of {site.name}"
    if "No module named" in said:
        return AiplatError(Finding(where, "is of an aiplat that cannot tell", "run `aiplat bootstrap`"))
    if code == EXIT_BAD_INPUT:
        return BadInput(Finding(where, f"keeps no accounts ({said})", "see accounts in the gateway's values"))
    return AiplatError(Finding(where, f"cannot say what was used: {said}", "look with `aiplat status`"))
