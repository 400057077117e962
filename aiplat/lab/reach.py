"""Reaches a lab host over ssh with the lab's own keys; what is run there is the caller's."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from threading import Event

from aiplat.errors import AiplatError, Finding
from aiplat.lab import machine
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


def wait_for_ssh(tree: Path, argv: list[str], console: Path, given_up: Event, seconds: float) -> None:
    """Wait until a command runs on the host over ssh, or until `given_up` is set.

    Raises:
        AiplatError: its process ended, or it did not answer within `seconds`; with what it said last.
    """
    deadline = time.monotonic() + seconds
    while not given_up.is_set():
        done = attempt((*argv, "true"))
        if done.returncode == 0:
            return
        if machine.find(tree) is None:
            raise AiplatError(
                Finding(f"host {tree.name}", f"stopped while booting: {machine.last_words(console)}")
            )
        if time.monotonic() > deadline:
            problem = f"ssh does not answer after {seconds:.0f} s: {done.stderr.strip()}"
            raise AiplatError(Finding(f"host {tree.name}", problem, f"see {console}"))
        given_up.wait(_RETRY_SECONDS)
