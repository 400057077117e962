"""The nspawn driver: in which order a lab's parts are made; each part is a module of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

from aiplat.errors import BadInput, Finding
from aiplat.lab import (
    bridge,
    cgroups,
    claims,
    egress,
    leftovers,
    logins,
    machine,
    needs,
    reach,
    restores,
    stages,
    tree,
)
from aiplat.lab.driver import EgressReport, HostState, HostStatus, LabStatus, OnEvent, ignore_events
from aiplat.lab.names import bridge_name
from aiplat.lab.record import (
    LabRecord,
    RecordedHost,
    console_log,
    hosts_dir,
    only_one,
    read_record,
    snapshots_dir,
    tree_dir,
)
from aiplat.lab.steps import Steps, in_parallel
from aiplat.site.models import Site

_SHUTDOWN_SECONDS = 120


class NspawnDriver:
    """Lab hosts as systemd-nspawn containers on a bridge: Linux and root, up within seconds."""

    name = "nspawn"

    def up(self, site: Site, on_event: OnEvent) -> LabStatus:
        """Bring every host of `site` to where ssh answers; see `Driver.up`."""
        record, before = stages.asked_for(site, self.name)
        needs.check_machine(disks=bool(stages.without_root(record)))
        claims.refuse_other(record, before)
        bridge.check_free(record.name, record.network)
        changed = stages.bring_up(record, on_event, network=_make_network, hosts=_make_trees, start=_boot_all)
        return replace(self.status(record.name), changed=changed)

    def down(self, name: str, on_event: OnEvent) -> tuple[str, ...]:
        """Remove every trace of the lab; see `Driver.down`."""
        removed: list[str] = []

        def remove() -> bool:
            removed.extend(leftovers.remove(name))
            return bool(removed)

        if not leftovers.look(name):
            return ()
        with only_one(name):
            Steps(on_event).run("down", f"removing lab {name}", remove)
        return tuple(removed)

    def status(self, name: str) -> LabStatus:
        """Look at the lab; see `Driver.status`."""
        record = read_record(name)
        if record is None:
            return stages.not_made(name, self.name, traces=bool(leftovers.look(name)))
        with ThreadPoolExecutor(max_workers=16) as pool:
            hosts = tuple(pool.map(lambda host: _host_status(name, host), record.hosts))
        return stages.status_of(record, hosts)

    def ssh_argv(self, name: str, host: str) -> list[str]:
        """Return the command that opens a shell on `host`; see `Driver.ssh_argv`."""
        return logins.ssh_argv(name, host)

    def snapshot(self, name: str, label: str) -> None:
        """Keep what all hosts have on disk; see `Driver.snapshot`."""
        record = logins.existing(name)
        target = _snapshot_dir(name, label)
        with only_one(name):
            restores.refuse_half(name)
            running = _stop_all(record)
            unfinished = target.with_name(f".making-{label}")
            tree.remove_tree(unfinished)
            for host in record.hosts:
                tree.copy_tree(tree_dir(name, host.name), unfinished / host.name)
            tree.remove_tree(target)
            unfinished.rename(target)
            if running:
                _boot_all(record, Steps(ignore_events))

    def restore(self, name: str, label: str) -> None:
        """Put the hosts' disks back; see `Driver.restore`."""
        record = logins.existing(name)
        source = _snapshot_dir(name, label)
        if not source.is_dir():
            known = ", ".join(sorted(p.name for p in snapshots_dir(name).glob("[!.]*"))) or "none"
            raise BadInput(Finding(f"snapshot {label}", f"is not in lab {name}", f"there are: {known}"))
        with only_one(name):
            with restores.remembered(name, label):
                _end_all(record)
                bridge.unplug_hosts(name)
                for host in record.hosts:
                    tree.replace_tree(source / host.name, tree_dir(name, host.name))
            _boot_all(record, Steps(ignore_events))

    def egress(self, name: str) -> EgressReport:
        """Return what the lab tried to send outside; see `Driver.egress`."""
        return egress.read_report(name)


def _make_network(record: LabRecord, steps: Steps) -> None:
    make = partial(bridge.make_bridge, record.name, record.network)
    stages.make_network(record, steps, f"bridge {bridge_name(record.name)}", make)


def _make_trees(record: LabRecord, steps: Steps) -> None:
    absent = stages.without_root(record)
    if not absent:
        return
    root = stages.base_root(record, steps)
    for host in absent:
        identity = logins.identity(record, host)
        make = partial(tree.make_tree, root, tree_dir(record.name, host.name), identity)
        steps.run("disk", "copying the base root", make, host.name)


def _boot_all(record: LabRecord, steps: Steps) -> None:
    boot = partial(_boot, record.name, cgroups.this_machine())
    stages.start_all(record, steps, boot, partial(_waited, record.name))


def _boot(lab: str, hierarchies: tuple[cgroups.Hierarchy, ...], host: RecordedHost) -> bool:
    folder = tree_dir(lab, host.name)
    if machine.find(folder) is not None:
        return False
    groups = cgroups.make_host_groups(hierarchies, lab, host.name)
    machine.boot(lab, host.name, folder, groups, console_log(lab, host.name))
    return True


def _waited(lab: str, host: RecordedHost) -> reach.Waited:
    folder, console = tree_dir(lab, host.name), console_log(lab, host.name)

    def ended() -> str | None:
        return None if machine.find(folder) else machine.last_words(console)

    return reach.Waited(host.name, logins.to_host(lab, host), ended, str(console))


def _host_status(lab: str, host: RecordedHost) -> HostStatus:
    folder = tree_dir(lab, host.name)
    found = machine.find(folder)
    if found is None:
        state: HostState = "stopped" if folder.is_dir() else "absent"
        return HostStatus(host.name, host.address, host.role, state)
    state = "up" if reach.ssh_answers(host.address) else "booting"
    return HostStatus(host.name, host.address, host.role, state, found.pid, found.started)


def _snapshot_dir(name: str, label: str) -> Path:
    claims.see_label(label)
    return snapshots_dir(name) / label


def _stop_all(record: LabRecord) -> bool:
    running = sorted({m.tree for m in machine.running_below(hosts_dir(record.name))})
    in_parallel(lambda tree: machine.power_off(tree, _SHUTDOWN_SECONDS), running, Event())
    _end_all(record)
    return bool(running)


def _end_all(record: LabRecord) -> None:
    groups = cgroups.lab_groups(cgroups.this_machine(), record.name)
    machine.end_all(groups, [m.pid for m in machine.running_below(hosts_dir(record.name))])
