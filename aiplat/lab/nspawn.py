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
    forwarding,
    leftovers,
    logins,
    machine,
    machine_limits,
    needs,
    reach,
    rootfs,
    tree,
)
from aiplat.lab.driver import EgressReport, HostState, HostStatus, LabState, LabStatus, OnEvent, ignore_events
from aiplat.lab.names import bridge_name
from aiplat.lab.record import (
    LabRecord,
    RecordedHost,
    console_log,
    hosts_dir,
    only_one,
    read_record,
    record_of,
    snapshots_dir,
    tree_dir,
    write_record,
)
from aiplat.lab.steps import Steps, in_parallel
from aiplat.site.models import Site

_BOOT_SECONDS = 90
_SHUTDOWN_SECONDS = 120


class NspawnDriver:
    """Lab hosts as systemd-nspawn containers on a bridge: Linux and root, up within seconds."""

    name = "nspawn"

    def up(self, site: Site, on_event: OnEvent) -> LabStatus:
        """Bring every host of `site` to where ssh answers; see `Driver.up`."""
        before = read_record(site.name)
        record = record_of(site, self.name, before.suite if before else rootfs.lab_suite())
        needs.check_machine(disks=any(not tree_dir(record.name, host.name).is_dir() for host in record.hosts))
        claims.refuse_other(record, before)
        bridge.check_free(record.name, record.network)
        with only_one(record.name):
            steps = Steps(on_event)
            write_record(record)
            _make_network(record, steps)
            _make_trees(record, steps)
            logins.publish(record)
            _boot_all(record, steps)
        return replace(self.status(record.name), changed=steps.changed)

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
            state: LabState = "partial" if leftovers.look(name) else "absent"
            return LabStatus(name, self.name, state, bridge_name(name), "", "", ())
        with ThreadPoolExecutor(max_workers=16) as pool:
            hosts = tuple(pool.map(lambda host: _host_status(name, host), record.hosts))
        whole = all(h.state == "up" for h in hosts) and egress.table_exists(name)
        network = record.network
        return LabStatus(
            name=name,
            driver=record.driver,
            state="up" if whole else "partial",
            bridge=bridge_name(name),
            subnet=str(network.subnet),
            gateway=str(network.gateway),
            hosts=hosts,
        )

    def ssh_argv(self, name: str, host: str) -> list[str]:
        """Return the command that opens a shell on `host`; see `Driver.ssh_argv`."""
        return logins.ssh_argv(name, host)

    def snapshot(self, name: str, label: str) -> None:
        """Keep what all hosts have on disk; see `Driver.snapshot`."""
        record = logins.existing(name)
        target = _snapshot_dir(name, label)
        with only_one(name):
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
            _end_all(record)
            bridge.unplug_hosts(name)
            for host in record.hosts:
                tree.replace_tree(source / host.name, tree_dir(name, host.name))
            _boot_all(record, Steps(ignore_events))

    def egress(self, name: str) -> EgressReport:
        """Return what the lab tried to send outside; see `Driver.egress`."""
        return egress.read_report(name)


def _make_network(record: LabRecord, steps: Steps) -> None:
    # The rules come first, so that there is no moment at which the bridge leads anywhere.
    lab, network = record.name, record.network
    steps.run("egress", "counting and dropping what leaves the lab", partial(egress.make_table, lab, network))
    steps.run("bridge", f"bridge {bridge_name(lab)}", partial(bridge.make_bridge, lab, network))
    steps.run(
        "forwarding", "letting hosts talk past other forward rules", partial(forwarding.let_hosts_talk, lab)
    )
    steps.run("limits", "room for the hosts' file watches", machine_limits.raise_limits)


def _make_trees(record: LabRecord, steps: Steps) -> None:
    absent = [host for host in record.hosts if not tree_dir(record.name, host.name).is_dir()]
    if not absent:
        return
    roots: list[Path] = []

    def base() -> bool:
        root, built = rootfs.base_root(record.suite, steps.on_event)
        roots.append(root)
        return built

    steps.run("base", f"Debian {record.suite} for lab hosts", base)
    for host in absent:
        identity = logins.identity(record, host)
        make = partial(tree.make_tree, roots[0], tree_dir(record.name, host.name), identity)
        steps.run("disk", "copying the base root", make, host.name)


def _boot_all(record: LabRecord, steps: Steps) -> None:
    hierarchies = cgroups.this_machine()
    given_up = Event()

    def boot(host: RecordedHost) -> None:
        steps.run("boot", "booting", lambda: _boot(record.name, host, hierarchies), host.name)
        steps.run("ssh", "waiting for ssh", lambda: _wait(record.name, host, given_up), host.name)

    in_parallel(boot, record.hosts, given_up)


def _boot(lab: str, host: RecordedHost, hierarchies: tuple[cgroups.Hierarchy, ...]) -> bool:
    folder = tree_dir(lab, host.name)
    if machine.find(folder) is not None:
        return False
    groups = cgroups.make_host_groups(hierarchies, lab, host.name)
    machine.boot(lab, host.name, folder, groups, console_log(lab, host.name))
    return True


def _wait(lab: str, host: RecordedHost, given_up: Event) -> bool:
    folder, console = tree_dir(lab, host.name), console_log(lab, host.name)

    def ended() -> str | None:
        return None if machine.find(folder) else machine.last_words(console)

    waited = reach.Waited(host.name, logins.to_host(lab, host), ended, str(console))
    reach.wait_for_ssh(waited, given_up, _BOOT_SECONDS)
    return False


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
