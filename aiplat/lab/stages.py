"""What all drivers do alike as a lab comes up: stages, rules, base root; how a host is made is theirs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event

from aiplat.lab import egress, forwarding, logins, machine_limits, reach, restores, rootfs
from aiplat.lab.driver import HostStatus, LabStatus, OnEvent
from aiplat.lab.names import bridge_name
from aiplat.lab.record import (
    LabRecord,
    RecordedHost,
    only_one,
    read_record,
    record_of,
    tree_dir,
    write_record,
)
from aiplat.lab.steps import Steps, in_parallel
from aiplat.site.models import Site

_BOOT_SECONDS = 90
Stage = Callable[[LabRecord, Steps], None]
"""One part of bringing a lab up, as a driver does it."""


def asked_for(site: Site, driver: str) -> tuple[LabRecord, LabRecord | None]:
    """Return the lab of a site as it is to be, and as it was made before; it keeps the Debian it has."""
    before = read_record(site.name)
    return record_of(site, driver, before.suite if before else rootfs.lab_suite()), before


def without_root(record: LabRecord) -> list[RecordedHost]:
    """Return the hosts of which nothing was made yet."""
    return [host for host in record.hosts if not tree_dir(record.name, host.name).is_dir()]


def bring_up(record: LabRecord, on_event: OnEvent, *, network: Stage, hosts: Stage, start: Stage) -> int:
    """Make a lab's network, make its hosts and start them; return how many steps changed anything.

    Raises:
        AiplatError: a host did not come up, or the lab is half put back to a snapshot.
    """
    with only_one(record.name):
        restores.refuse_half(record.name)
        steps = Steps(on_event)
        write_record(record)
        network(record, steps)
        hosts(record, steps)
        logins.publish(record)
        start(record, steps)
    return steps.changed


def make_network(record: LabRecord, steps: Steps, text: str, make_bridge: Callable[[], bool]) -> None:
    """Make the bridge, with the rules for what comes over it."""
    # The rules come first, so that there is no moment at which the bridge leads anywhere.
    table = partial(egress.make_table, record.name, record.network)
    steps.run("egress", "counting and dropping what leaves the lab", table)
    steps.run("bridge", text, make_bridge)
    talk = partial(forwarding.let_hosts_talk, record.name)
    steps.run("forwarding", "letting hosts talk past other forward rules", talk)
    steps.run("limits", "room for the hosts' file watches", machine_limits.raise_limits)


def base_root(record: LabRecord, steps: Steps) -> Path:
    """Return the root that all hosts begin as, made where it is not there."""
    roots: list[Path] = []

    def make() -> bool:
        root, built = rootfs.base_root(record.suite, steps.on_event)
        roots.append(root)
        return built

    steps.run("base", f"Debian {record.suite} for lab hosts", make)
    return roots[0]


def start_all(
    record: LabRecord,
    steps: Steps,
    begin: Callable[[RecordedHost], bool],
    waited: Callable[[RecordedHost], reach.Waited],
) -> None:
    """Start all hosts at once and wait until ssh answers; `begin` says whether it had to start one.

    Raises:
        AiplatError: with the findings of every host that did not come up.
    """
    given_up = Event()

    def wait(host: RecordedHost) -> bool:
        reach.wait_for_ssh(waited(host), given_up, _BOOT_SECONDS)
        return False

    def start(host: RecordedHost) -> None:
        steps.run("boot", "booting", partial(begin, host), host.name)
        steps.run("ssh", "waiting for ssh", partial(wait, host), host.name)

    in_parallel(start, record.hosts, given_up)


def not_made(name: str, driver: str, *, traces: bool) -> LabStatus:
    """Return what a lab is of which there is no record: absent, or partial where it left traces."""
    return LabStatus(name, driver, "partial" if traces else "absent", bridge_name(name), "", "", ())


def status_of(record: LabRecord, hosts: tuple[HostStatus, ...]) -> LabStatus:
    """Return what a lab is, from what its hosts are: up if all are, of one time, and its rules stand."""
    running = all(h.state == "up" for h in hosts)
    whole = running and egress.table_exists(record.name) and not restores.cut_off(record.name)
    return LabStatus(
        name=record.name,
        driver=record.driver,
        state="up" if whole else "partial",
        bridge=bridge_name(record.name),
        subnet=str(record.network.subnet),
        gateway=str(record.network.gateway),
        hosts=hosts,
    )
