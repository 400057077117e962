"""Ports for what tests start: no other test of this machine has them, nor the system for its connections."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

# Below the ports that the system gives to connections, and below those of Kubernetes' Services on nodes.
_PORTS = range(20000, 30000)
_given: set[int] = set()


@cache
def _book() -> int:
    """Return the file of which each test process locks a byte for each of its ports, until it ends."""
    path = Path(tempfile.gettempdir()) / f"aiplat-test-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _taken(port: int) -> bool:
    try:
        fcntl.lockf(_book(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        return True
    return False


def free_port() -> int:
    """Return a port that nobody listens on, and that is this process's until it ends."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in _given and not _taken(port):
            _given.add(port)
            return port
    raise AssertionError(f"no port of {_PORTS} is free")
