"""`aiplat verify --egress`: counts for a while what a site sends outside, and says whose it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from aiplat.fleet.egress import EgressRecording, HostAttempt, HostRecord
from aiplat.frozen import Frozen
from aiplat.lab import EgressReport, egress_report, lab_status
from aiplat.site.machines import see_hosts
from aiplat.site.models import Site

Waiting = Callable[[float], bool]
"""Wait for so many seconds at most; whether somebody wants the end now."""

LIMITS = (
    "Seen is what passes a host's network interfaces while it records; what began before is not.",
    "A process is known while its socket is there, a pod while it is; else the address alone is named.",
    "A name is read from DNS over UDP; what is asked over TCP, TLS or HTTPS is seen as a connection.",
    "The question by which CoreDNS looks for a loop does not count where it asks the host it runs on.",
    "What a host's own firewall refuses to the host's own processes does not pass an interface.",
    "What is inside of a tunnel or a proxy's connection is seen as a connection to its far end.",
    "Answers to who came from outside, multicast and broadcast on the own link do not count.",
    "Firmware, management controllers and other machines of the network are not looked at.",
)


class SiteAttempt(HostAttempt):
    """What began on one of the hosts."""

    host: str


class HostCoverage(Frozen):
    """How well a host was looked at; one with a `problem` was not, or not to the end."""

    host: str
    problem: str = ""
    fix: str = ""
    more: int = 0
    lost: int = 0


class LabAttempt(Frozen):
    """What a lab's own counter saw and dropped; every packet counts."""

    source: str
    destination: str
    protocol: str
    port: int
    packets: int


class LabCount(Frozen):
    """What the bridge of a lab counted: while it was recorded, and since the lab is up."""

    packets: int
    since_up: int
    attempts: tuple[LabAttempt, ...]


class SiteEgress(Frozen):
    """What a site tried to send outside, as a document to hand over."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["SiteEgress"] = "SiteEgress"
    site: str
    begun: str
    ended: str
    seconds: int
    total: int
    hosts: tuple[HostCoverage, ...]
    attempts: tuple[SiteAttempt, ...]
    lab: LabCount | None = None
    limits: tuple[str, ...] = LIMITS

    @property
    def whole(self) -> bool:
        """Whether every host was recorded to the end, with all its packets."""
        return not any(one.problem or one.more or one.lost for one in self.hosts)

    @property
    def quiet(self) -> bool:
        """Whether nothing was tried."""
        return not self.total and not (self.lab and self.lab.packets)


def record_egress(site: Site, seconds: float, waiting: Waiting, begun: Callable[[], None]) -> SiteEgress:
    """Record on all hosts of a site for so many seconds, and return what was seen; `begun` is told once.

    Raises:
        BadInput: it has no hosts, and nothing would be seen.
    """
    see_hosts(site, "record on that cluster's nodes by its own tools")
    before = _lab(site)
    with EgressRecording(site) as recording:
        began, clock = datetime.now(UTC), time.monotonic()
        begun()
        if recording.hosts:
            waiting(seconds)
        records = recording.stop()
        lasted, problems = time.monotonic() - clock, dict(recording.problems)
    attempts = _attempts(records)
    hosts = [
        HostCoverage(host=host.name, problem=problems[host.name].problem, fix=problems[host.name].fix)
        if host.name in problems
        else HostCoverage(host=host.name, more=records[host.name].more, lost=records[host.name].lost)
        for host in site.hosts
    ]
    return SiteEgress(
        site=site.name,
        begun=_written(began),
        ended=_written(datetime.now(UTC)),
        seconds=int(lasted),
        total=sum(one.tried for one in attempts),
        hosts=tuple(hosts),
        attempts=attempts,
        lab=_counted(before, _lab(site)),
    )


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _attempts(records: dict[str, HostRecord]) -> tuple[SiteAttempt, ...]:
    """Return the attempts of all hosts, the busiest first."""
    every: Iterable[SiteAttempt] = (
        SiteAttempt(host=host, **one.model_dump())
        for host, record in records.items()
        for one in record.attempts
    )
    return tuple(sorted(every, key=lambda one: (-one.tried, one.host, one.first)))


def _lab(site: Site) -> EgressReport | None:
    """Return what a lab of this name has counted, None if the site has no lab."""
    there = lab_status(site.name).state != "absent"
    return egress_report(site.name) if there else None


def _counted(before: EgressReport | None, after: EgressReport | None) -> LabCount | None:
    if after is None:
        return None
    known = set(before.attempts) if before else set()
    attempts = tuple(LabAttempt(**asdict(one)) for one in after.attempts if one not in known)
    packets = after.packets - (before.packets if before else 0)
    return LabCount(packets=packets, since_up=after.packets, attempts=attempts)
