"""The docker driver: in which order a lab's parts are made in a Docker engine of this machine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from aiplat.errors import BadInput, Finding
from aiplat.lab import (
    bridge,
    claims,
    docker_hosts,
    egress,
    engine,
    logins,
    machine,
    needs,
    reach,
    restores,
    stages,
)
from aiplat.lab.docker_hosts import container_name
from aiplat.lab.driver import EgressReport, HostState, HostStatus, LabStatus, OnEvent, ignore_events
from aiplat.lab.names import LabNetwork, bridge_mac, bridge_name, network_name
from aiplat.lab.record import (
    LabRecord,
    RecordedHost,
    only_one,
    read_record,
    tree_dir,
)
from aiplat.lab.steps import Steps
from aiplat.lab.tools import attempt
from aiplat.site.models import Site


class DockerDriver:
    """Lab hosts as containers of a Docker engine on this machine, on a network that leads nowhere."""

    name = "docker"

    def up(self, site: Site, on_event: OnEvent) -> LabStatus:
        """Bring every host of `site` to where ssh answers; see `Driver.up`."""
        record, before = stages.asked_for(site, self.name)
        _refuse_ipv6(record)
        needs.check_machine(disks=bool(stages.without_root(record)), driver=self.name)
        claims.refuse_other(record, before)
        if not engine.listed("network", record.name):
            bridge.check_free(record.name, record.network)
        changed = stages.bring_up(
            record, on_event, network=_make_network, hosts=_make_hosts, start=_start_all
        )
        return replace(self.status(record.name), changed=changed)

    def down(self, name: str, on_event: OnEvent) -> tuple[str, ...]:
        """Remove what the engine holds of the lab; what is on the machine itself goes as any lab's does.

        Raises:
            BadInput: the lab was made by this driver, and no engine answers.
        """
        record = _readable(name)
        findings = engine.missing()
        if findings and record is not None and record.driver == self.name:
            raise BadInput(findings)
        removed: list[str] = []

        def remove() -> bool:
            for kind, names in engine.everything(name).items():
                for one in names:
                    engine.remove(kind, one)
                    removed.append(f"{kind} {one}")
            return bool(removed)

        if not findings and any(engine.everything(name).values()):
            Steps(on_event).run("down", f"removing lab {name} from the engine", remove)
        return tuple(removed)

    def status(self, name: str) -> LabStatus:
        """Look at the lab; see `Driver.status`."""
        record = read_record(name)
        findings = engine.missing()
        seen = {} if findings else engine.inspected(*engine.listed("container", name))
        if record is None:
            return stages.not_made(name, self.name, traces=bool(seen))
        return stages.status_of(record, tuple(_host_status(name, host, seen) for host in record.hosts))

    def ssh_argv(self, name: str, host: str) -> list[str]:
        """Return the command that opens a shell on `host`; see `Driver.ssh_argv`."""
        return logins.ssh_argv(name, host)

    def snapshot(self, name: str, label: str) -> None:
        """Keep what all hosts have on disk; see `Driver.snapshot`."""
        record = logins.existing(name)
        claims.see_label(label)
        with only_one(name):
            restores.refuse_half(name)
            ran = [docker_hosts.stop(name, host.name) for host in record.hosts]
            docker_hosts.keep(name, record.hosts, label)
            if any(ran):
                _start_all(record, Steps(ignore_events))

    def restore(self, name: str, label: str) -> None:
        """Put the hosts' disks back; see `Driver.restore`."""
        record = logins.existing(name)
        claims.see_label(label)
        labels = docker_hosts.kept(name, record.hosts)
        if label not in labels:
            known = ", ".join(labels) or "none"
            raise BadInput(Finding(f"snapshot {label}", f"is not in lab {name}", f"there are: {known}"))
        with only_one(name):
            with restores.remembered(name, label):
                docker_hosts.remove_unfinished(name)
                for host in record.hosts:
                    docker_hosts.put_back(name, host, label)
            _start_all(record, Steps(ignore_events))

    def egress(self, name: str) -> EgressReport:
        """Return what the lab tried to send outside; see `Driver.egress`."""
        return egress.read_report(name)


def _readable(name: str) -> LabRecord | None:
    """Return a lab's record, or None where there is none that can be read."""
    try:
        return read_record(name)
    except BadInput:
        return None


def _refuse_ipv6(record: LabRecord) -> None:
    if record.subnet6 is not None:
        problem = "the driver docker gives hosts IPv4 addresses alone"
        raise BadInput(Finding("hosts", problem, "take the driver nspawn for a site with IPv6"))


def _make_network(record: LabRecord, steps: Steps) -> None:
    make = partial(_engine_network, record.name, record.network)
    stages.make_network(record, steps, f"network {network_name(record.name)}", make)


def _engine_network(lab: str, network: LabNetwork) -> bool:
    """Have the engine make the lab's network, with the bridge that the lab's rules know."""
    made = not engine.listed("network", lab)
    if made:
        named = f"com.docker.network.bridge.name={bridge_name(lab)}"
        marked = ("--label", f"{engine.LABEL}={lab}", "--opt", named)
        within = ("--subnet", str(network.subnet), "--gateway", str(network.gateway))
        # The engine itself leads nothing of it outside either, nor asks name servers for its hosts.
        engine.docker("network", "create", "--internal", *marked, *within, network_name(lab))
    link = ("ip", "link", "set", "dev", bridge_name(lab), "address", bridge_mac(lab))
    if attempt(link).returncode != 0:
        engine.remove("network", network_name(lab))
        problem = f"the engine at {engine.endpoint()} has its networks elsewhere, not on this machine"
        raise BadInput(Finding("docker", problem, "use an engine of this machine, or the driver nspawn"))
    return bridge.make_bridge(lab, network) or made


def _make_hosts(record: LabRecord, steps: Steps) -> None:
    there = engine.listed("container", record.name)
    absent = [host for host in record.hosts if container_name(record.name, host.name) not in there]
    if not absent:
        return
    root = stages.base_root(record, steps)
    image = f"aiplat-lab/root:{root.name.removeprefix('rootfs-')}"
    steps.run("image", "giving the engine the base root", partial(_base_image, root, image))
    for host in absent:
        steps.run("disk", "making the container", partial(_make_host, record, host, image), host.name)


def _base_image(root: Path, image: str) -> bool:
    if engine.has_image(image):
        return False
    engine.import_root(root, image)
    return True


def _make_host(record: LabRecord, host: RecordedHost, image: str) -> bool:
    docker_hosts.seed(tree_dir(record.name, host.name), logins.identity(record, host))
    return docker_hosts.create(record.name, host, image)


def _start_all(record: LabRecord, steps: Steps) -> None:
    lab = record.name
    stages.start_all(record, steps, lambda host: docker_hosts.start(lab, host.name), partial(_waited, lab))


def _waited(lab: str, host: RecordedHost) -> reach.Waited:
    name = container_name(lab, host.name)

    def ended() -> str | None:
        if engine.inspected(name)[name]["State"]["Running"]:
            return None
        said = attempt(("docker", "logs", "--tail", "4", name))
        return " / ".join((said.stdout + said.stderr).split("\n"))

    return reach.Waited(host.name, logins.to_host(lab, host), ended, f"docker logs {name}")


def _host_status(lab: str, host: RecordedHost, seen: dict[str, engine.Container]) -> HostStatus:
    found = seen.get(container_name(lab, host.name))
    pid = int(found["State"]["Pid"]) if found else 0
    started = machine.started_or_none(pid) if pid else None
    if started is None:
        state: HostState = "absent" if found is None else "stopped"
        return HostStatus(host.name, host.address, host.role, state)
    state = "up" if reach.ssh_answers(host.address) else "booting"
    return HostStatus(host.name, host.address, host.role, state, pid, started)
