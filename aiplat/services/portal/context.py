"""What the pages stand on: database, cluster, gateway, the seal of sessions; what they show is theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from aiplat.services.oidc.entry import Entry
from aiplat.services.portal.alerts import Alerts
from aiplat.services.portal.cluster import ClusterSeen
from aiplat.services.portal.gateway import Gateway
from aiplat.services.portal.logs import LogsLook
from aiplat.services.portal.runs import RunsLook
from aiplat.services.portal.streams import OpenStreams
from aiplat.services.portal.visitors import Seal, Visitor
from aiplat.services.store.database import Database


@dataclass(frozen=True)
class Portal:
    """One portal process. `look` asks the cluster, `url` is what clients call the gateway.

    `entry` is the site's sign-in and `alerts` its Prometheus, where it has one; `components` what the site
    runs, as the bundle's lock tells it: name, plane, version, licence, purpose, and where its logs are.
    `runs` and `logs` are looked at in the cluster, where there is one.
    """

    site: str
    url: str
    database: Database
    gateway: Gateway
    look: Callable[[], ClusterSeen]
    seal: Seal
    components: tuple[Mapping[str, Any], ...] = ()
    secure: bool = True
    entry: Entry | None = None
    runs: RunsLook | None = None
    logs: LogsLook | None = None
    streams: OpenStreams = field(default_factory=OpenStreams)
    alerts: Alerts | None = None


def portal_of(request: Request) -> Portal:
    """Return what the portal that answers a request stands on."""
    portal: Portal = request.app.state.portal
    return portal


def visitor_at(request: Request) -> Visitor:
    """Return who is signed in; only where the path is not open to everybody."""
    visitor: Visitor = request.state.visitor
    return visitor
