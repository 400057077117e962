"""Who logs in to a lab's hosts: keys where other rooms look for them, and the ssh command of a host."""

from __future__ import annotations

from aiplat.errors import BadInput, Finding
from aiplat.lab import keys, reach, tree
from aiplat.lab.record import LabRecord, RecordedHost, lab_folder, read_record, tree_dir
from aiplat.state import site_dir


def existing(name: str) -> LabRecord:
    """Return the record of a lab that was made.

    Raises:
        BadInput: there is none of this name.
    """
    record = read_record(name)
    if record is None:
        raise BadInput(Finding(f"lab {name}", "is not up", f"aiplat lab up {name}"))
    return record


def identity(record: LabRecord, host: RecordedHost) -> tree.Identity:
    """Return what makes a root this host of the lab; the lab's key is made where there is none."""
    login = keys.kept_key_pair(lab_folder(record.name) / "ssh_key")
    return tree.Identity(record.name, host.name, (host.address, host.address6), record.network, login)


def publish(record: LabRecord) -> None:
    """Put the login key and the hosts' keys into the lab's and the site's folder."""
    login = keys.kept_key_pair(lab_folder(record.name) / "ssh_key")
    host_keys = {h.address: tree.host_public_key(tree_dir(record.name, h.name)) for h in record.hosts}
    hosts = keys.known_hosts(host_keys)
    keys.publish(lab_folder(record.name), login, hosts)
    keys.publish(site_dir(record.name), login, hosts)


def ssh_argv(name: str, host: str) -> list[str]:
    """Return the command that opens a shell on a host, named by its name or its address.

    Raises:
        BadInput: the lab is not there, or has no such host.
    """
    record = existing(name)
    found = next((h for h in record.hosts if host in (h.name, h.address)), None)
    if found is None:
        known = ", ".join(h.name for h in record.hosts)
        raise BadInput(Finding(f"host {host}", f"is not in lab {name}", f"it has {known}"))
    return to_host(name, found)


def to_host(lab: str, host: RecordedHost) -> list[str]:
    """Return the ssh command of a host of the record."""
    folder = lab_folder(lab)
    return reach.ssh_argv(host.address, folder / "ssh_key", folder / "known_hosts")
