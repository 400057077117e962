"""What is written down about a lab (lab.json) and where its files are; what runs is looked up, not read."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from aiplat.content import parsed_json, write_atomic
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.frozen import Frozen
from aiplat.lab.names import LabNetwork, address6, lab_network
from aiplat.site.models import Site
from aiplat.state import lab_dir, private_dir

_API_VERSION = "aiplat.dev/v1alpha1"


class RecordedHost(Frozen):
    """One host as the site named it when the lab came up."""

    name: str
    address: str
    role: str
    address6: str = ""


class LabRecord(Frozen):
    """The lab as it was asked for; written before anything else is made."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Lab"] = "Lab"
    name: str
    driver: str
    suite: str
    subnet: IPv4Network
    subnet6: IPv6Network | None = None
    hosts: tuple[RecordedHost, ...]

    @property
    def network(self) -> LabNetwork:
        """The lab's networks and the bridge's addresses in them."""
        return LabNetwork(self.subnet, self.subnet6)


def record_of(site: Site, driver: str, suite: str) -> LabRecord:
    """Return the record of a lab for `site`."""
    hosts = tuple(
        RecordedHost(name=h.name, address=h.address, role=h.role, address6=address6(h)) for h in site.hosts
    )
    network = lab_network(site)
    return LabRecord(
        name=site.name,
        driver=driver,
        suite=suite,
        subnet=network.subnet,
        subnet6=network.subnet6,
        hosts=hosts,
    )


def read_record(name: str) -> LabRecord | None:
    """Return the lab's record, or None where there is none.

    Raises:
        BadInput: the file was written by a newer aiplat, or damaged.
    """
    path = lab_folder(name) / "lab.json"
    if not path.exists():
        return None
    try:
        return LabRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        version = _claimed_version(path)
        problem = (
            f"is {version}, this aiplat knows {_API_VERSION}" if version != _API_VERSION else "is damaged"
        )
        fix = f"use the aiplat that made it, or remove the lab: aiplat lab down {name}"
        raise BadInput(Finding(str(path), problem, fix)) from error


def write_record(record: LabRecord) -> bool:
    """Write the lab's record if it differs from the one there; return whether it did."""
    path = lab_folder(record.name) / "lab.json"
    content = (record.model_dump_json(by_alias=True, indent=2) + "\n").encode()
    if path.exists() and path.read_bytes() == content:
        return False
    write_atomic(path, content, 0o600)
    return True


def _claimed_version(path: Path) -> str:
    try:
        return str(parsed_json(path.read_bytes()).get("apiVersion", "of no version"))
    except (ValueError, AttributeError):
        return _API_VERSION


def lab_folder(name: str) -> Path:
    """Return the lab's folder without symbolic links: processes are found by it, however it was spelled."""
    return lab_dir(name).resolve()


def hosts_dir(name: str) -> Path:
    """Return the folder of the hosts' trees; each host's is named after it."""
    return lab_folder(name) / "hosts"


def tree_dir(name: str, host: str) -> Path:
    """Return the folder that is the host's root file system."""
    return hosts_dir(name) / host


def snapshots_dir(name: str) -> Path:
    """Return the folder of the lab's snapshots: `<label>/<host>`."""
    return lab_folder(name) / "snapshots"


def console_log(name: str, host: str) -> Path:
    """Return the file that holds what the host said while booting."""
    return private_dir(lab_folder(name) / "consoles") / f"{host}.log"


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Hold the lab for changing it; the kernel lets go of it when the holder dies.

    Raises:
        AiplatError: another process is changing this lab.
    """
    while True:
        folder = private_dir(lab_folder(name))
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _still(folder, handle):
                continue  # `lab down` of another process removed the folder between open and lock
            yield
            return
        except BlockingIOError as error:
            problem = "another aiplat command is changing this lab"
            raise AiplatError(
                Finding(f"lab {name}", problem, "wait for it to end, then run this again")
            ) from error
        finally:
            os.close(handle)


def _still(folder: Path, handle: int) -> bool:
    return folder.exists() and folder.stat().st_ino == os.fstat(handle).st_ino
