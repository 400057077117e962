"""Hosts on this machine for a site to be tried on; what gets installed on them belongs in roles and runs."""

from __future__ import annotations

from aiplat.lab.chosen import DRIVERS, driver_of, drivers
from aiplat.lab.driver import (
    Attempt,
    Driver,
    EgressReport,
    HostStatus,
    LabEvent,
    LabStatus,
    OnEvent,
    ignore_events,
)
from aiplat.site.machines import see_hosts
from aiplat.site.models import Site

__all__ = [
    "DRIVERS",
    "Attempt",
    "Driver",
    "EgressReport",
    "HostStatus",
    "LabEvent",
    "LabStatus",
    "OnEvent",
    "egress_report",
    "ignore_events",
    "lab_down",
    "lab_restore",
    "lab_snapshot",
    "lab_status",
    "lab_up",
    "ssh_argv",
]


def lab_up(site: Site, on_event: OnEvent = ignore_events, driver: str = "") -> LabStatus:
    """Bring every host of `site` up until ssh answers; `changed` of the result is 0 if all was there already.

    `driver` is one of `DRIVERS`; without it the one that made the lab, or that `AIPLAT_LAB_DRIVER` names.
    Writes `ssh_key` and `known_hosts` into the site's state folder.
    Killed at any point, it continues when called again.

    Raises:
        BadInput: this machine or this site does not allow it; every reason is in the findings.
        AiplatError: a host did not come up.
    """
    see_hosts(site, "a lab makes hosts: name a site file with `hosts`")
    return driver_of(site.name, driver).up(site, on_event)


def lab_down(name: str, on_event: OnEvent = ignore_events) -> tuple[str, ...]:
    """Remove every trace of the lab, found by name alone; return a sentence for each thing removed."""
    return tuple(said for driver in drivers() for said in driver.down(name, on_event))


def lab_status(name: str) -> LabStatus:
    """Look at the lab without changing anything; its state is absent, partial or up."""
    return driver_of(name).status(name)


def lab_snapshot(name: str, label: str) -> None:
    """Keep a copy of all hosts' disks under `label`; running hosts are shut down for it and booted again."""
    driver_of(name).snapshot(name, label)


def lab_restore(name: str, label: str) -> None:
    """Put all hosts' disks back to `label` and boot them; running hosts are ended as if by a power cut."""
    driver_of(name).restore(name, label)


def egress_report(name: str) -> EgressReport:
    """Return how many packets the lab tried to send outside and where to; all were dropped."""
    return driver_of(name).egress(name)


def ssh_argv(name: str, host: str) -> list[str]:
    """Return the ssh command for a host of the lab, by name or address; a remote command may be appended."""
    return driver_of(name).ssh_argv(name, host)
