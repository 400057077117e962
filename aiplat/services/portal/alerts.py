"""The site's alerts as Prometheus has them, each with its cause and a command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import aiohttp

from aiplat.content import parsed_json
from aiplat.services.answers import document_of
from aiplat.services.bounds import LISTED_BYTES, LOOK_SECONDS
from aiplat.services.portal.cluster import Concern

SHOWN = 50
"""Alerts that are shown; more at once have one cause, which is among them."""
_GRAVEST = ("critical", "warning")
_ABOUT = ("node", "namespace", "pod", "deployment", "statefulset", "daemonset", "model", "mountpoint")
# What stands for an alert's own things in the runbook's commands, and the labels that may have them.
_STANDS_FOR = {
    "NODE": ("node",),
    "NAMESPACE": ("namespace",),
    "POD": ("pod",),
    "NAME": (
        "deployment",
        "statefulset",
        "daemonset",
        "job_name",
        "persistentvolumeclaim",
        "persistentvolume",
    ),
}
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_OK = 200


@dataclass(frozen=True)
class Runbook:
    """What is known of each alert: its cause, and the commands that look at it or end it."""

    entries: Mapping[str, Mapping[str, Any]]

    @classmethod
    def shipped(cls) -> Runbook:
        """Return that of the docs, which comes with the portal."""
        return cls(parsed_json((files("aiplat.services.portal") / "runbook.json").read_text()))

    def cause(self, alert: str) -> str:
        """Return why there may be such an alert; empty where the alert is somebody else's."""
        return str(self.entries.get(alert, {}).get("cause", ""))

    def command(self, alert: str, labels: Mapping[str, str]) -> str:
        """Return the first command, with the names of what the alert is about where they can be written."""
        command = next(iter(self.entries.get(alert, {}).get("commands", ())), "aiplat status")
        for word, names in _STANDS_FOR.items():
            value = next((labels[name] for name in names if name in labels), "")
            if _PLAIN.fullmatch(value):
                command = re.sub(rf"\b{word}\b", value, command)
        return str(command)


@dataclass(frozen=True)
class Alerts:
    """Asks the Prometheus at `url`, again for every page: an alert that is over is not shown."""

    url: str
    runbook: Runbook

    async def firing(self) -> list[Concern]:
        """Return what fires, the gravest first, without notes. A Prometheus that is away is one itself."""
        try:
            told = await self._asked()
            found = [a for a in told["data"]["alerts"] if a["state"] == "firing" and _severity(a) in _GRAVEST]
            found.sort(key=lambda a: (_GRAVEST.index(_severity(a)), a["labels"]["alertname"], a["activeAt"]))
            return [self._concern(a["labels"], a["annotations"]) for a in found[:SHOWN]]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
            problem = f"Prometheus does not say which there are ({type(error).__name__})"
            return [Concern("alerts", problem, "aiplat logs prometheus --since 10m")]

    async def _asked(self) -> dict[str, Any]:
        limit = aiohttp.ClientTimeout(total=LOOK_SECONDS)
        where = f"{self.url}/api/v1/alerts"
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(where, allow_redirects=False) as answer,
        ):
            if answer.status != _OK:
                raise ValueError(f"status {answer.status}")
            return dict(await document_of(answer, LISTED_BYTES))

    def _concern(self, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Concern:
        name = labels["alertname"]
        about = "/".join(labels[label] for label in _ABOUT if label in labels)
        where = f"{_severity({'labels': labels})} {name} {about}".rstrip()
        said = f"{annotations.get('description', annotations.get('summary', ''))} {self.runbook.cause(name)}"
        return Concern(where, said.strip(), self.runbook.command(name, labels))


def _severity(alert: Mapping[str, Any]) -> str:
    return str(alert["labels"].get("severity", ""))
