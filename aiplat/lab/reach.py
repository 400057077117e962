"""Reaches a lab host over ssh with the lab's own keys; what is run there is the caller's."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from aiplat.errors import AiplatError, Finding
from aiplat.lab.tools import attempt

_RETRY_SECONDS = 0.1


def ssh_argv(address: str, key: Path, known_hosts: Path) -> list[str]:
    """Return the ssh command for root at `address`; the user's own ssh configuration takes no part."""
    options = (
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f'UserKnownHostsFile="{known_hosts}"',
        "GlobalKnownHostsFile=/dev/null",
        "ConnectTimeout=5",
        "LogLevel=ERROR",
    )
    return [
        "ssh",
        "-F",
        "none",
        "-i",
        str(key),
        *(part for o in options for part in ("-o", o)),
        f"root@{address}",
    ]


def ssh_answers(address: str, seconds: float = 1.0) -> bool:
    """Return whether an ssh server greets at `address`."""
    with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=seconds) as connection:
        connection.settimeout(seconds)
        return connection.recv(4) == b"SSH-"
    return False


@dataclass(frozen=True)
class Waited:
    """A host that boots: what it is called, its ssh command, and where to look what it says meanwhile.

    `ended` returns its last words once nothing runs it any more, and None before.
    """

    name: str
    argv: list[str]
    ended: Callable[[], str | None]
    see: str


def wait_for_ssh(host: Waited, given_up: Event, seconds: float) -> None:
    """Wait until a command runs on the host over ssh, or until `given_up` is set.

    Raises:
        AiplatError: it ended, or it did not answer within `seconds`; with what it said last.
    """
    deadline = time.monotonic() + seconds
    while not given_up.is_set():
        done = attempt((*host.argv, "true"))
        if done.returncode == 0:
            return
        words = host.ended()
        if words is not None:
            raise AiplatError(Finding(f"host {host.name}", f"stopped while booting: {words}"))
        if time.monotonic() > deadline:
            problem = f"ssh does not answer after {seconds:.0f} s: {done.stderr.strip()}"
            raise AiplatError(Finding(f"host {host.name}", problem, f"see {host.see}"))
        given_up.wait(_RETRY_SECONDS)
