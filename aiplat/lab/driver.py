"""What a lab driver offers and what it reports; how hosts are made belongs in the drivers (nspawn, …)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from aiplat.site.models import Site

LabState = Literal["absent", "partial", "up"]
HostState = Literal["absent", "stopped", "booting", "up"]


@dataclass(frozen=True)
class LabEvent:
    """One thing that happens while a lab is made or removed, for progress bars and JSON lines.

    `done` and `total` count what `step` counts (packages, hosts); `total` 0 means the end is not known.
    `changed` says, on `step_finished`, whether the step had anything to do.
    """

    event: Literal["step_started", "progress", "step_finished"]
    step: str
    host: str = ""
    text: str = ""
    done: int = 0
    total: int = 0
    changed: bool = False


OnEvent = Callable[[LabEvent], None]


def ignore_events(_event: LabEvent) -> None:
    """Take an event and do nothing; for callers who only want the result."""


@dataclass(frozen=True)
class Attempt:
    """Packets that a host or a pod sent to one destination outside the lab; all of them were dropped.

    `protocol` is tcp, udp, icmp or a number; `port` is 0 where there is none.
    """

    source: str
    destination: str
    protocol: str
    port: int
    packets: int


@dataclass(frozen=True)
class EgressReport:
    """What a lab tried to send outside since it is up: `packets` in all, and to where."""

    name: str
    packets: int
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class HostStatus:
    """One lab host as it is now; `pid` and `started` (clock ticks since boot) name its process, 0 if none."""

    name: str
    address: str
    role: str
    state: HostState
    pid: int = 0
    started: int = 0


@dataclass(frozen=True)
class LabStatus:
    """A lab as it is now; `changed` counts what the call that returned this had to do."""

    name: str
    driver: str
    state: LabState
    bridge: str
    subnet: str
    gateway: str
    hosts: tuple[HostStatus, ...]
    changed: int = 0


class Driver(Protocol):
    """Makes the hosts of a site on this machine. Killed at any point, a method may be called again."""

    name: str

    def up(self, site: Site, on_event: OnEvent) -> LabStatus:
        """Bring every host of `site` to where ssh answers; what is there already is left alone.

        Raises:
            BadInput: the machine or the site does not allow it; nothing was changed.
            AiplatError: a host did not come up.
        """

    def down(self, name: str, on_event: OnEvent) -> tuple[str, ...]:
        """Remove every trace of the lab, found by name, and return what was removed, one sentence each."""

    def status(self, name: str) -> LabStatus:
        """Look at the lab without changing anything."""

    def ssh_argv(self, name: str, host: str) -> list[str]:
        """Return the command that opens a shell on `host` (a command to run there may be appended)."""

    def snapshot(self, name: str, label: str) -> None:
        """Keep what all hosts have on disk under `label`; those that run are stopped for it and run again."""

    def restore(self, name: str, label: str) -> None:
        """Put the hosts' disks back to `label` and run all hosts again."""

    def egress(self, name: str) -> EgressReport:
        """Return what the lab tried to send outside."""
