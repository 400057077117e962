"""An `ssh` for tests: hosts are this machine; -W, -O forward and control sockets work, log-ins are not real.

SSH_SAYS is what `-G` prints; SSH_FORBIDS makes the far side refuse forwards; SSH_FAILS is a log-in's refusal.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path


def main(words: list[str]) -> int:
    """Do what ssh would with these arguments."""
    if words[0] == "-G":
        sys.stdout.write(os.environ.get("SSH_SAYS", "user root\nhostname 192.0.2.11\nport 22\n"))
        return 0
    control = next(w.partition("=")[2] for w in words if w.startswith("ControlPath="))
    if "-W" in words:
        return _ask(control, f"try {words[words.index('-W') + 1]}")
    if "-O" in words:
        return _ask(control, f"forward {words[words.index('-L') + 1]}")
    if refusal := os.environ.get("SSH_FAILS"):
        sys.stderr.write(f"{refusal}\n")
        return 255
    return _hold(control, words[-1])


def _ask(control: str, question: str) -> int:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(control)
        line.sendall(f"{question}\n".encode())
        return int(line.recv(16) or b"255")


def _hold(control: str, command: str) -> int:
    """Hold the connection for as long as the remote command runs; the control socket answers meanwhile."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(control)
    listener.listen()
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    try:
        return subprocess.run(["sh", "-c", command], check=False).returncode
    finally:
        Path(control).unlink()


def _serve(listener: socket.socket) -> None:
    while True:
        line, _ = listener.accept()
        with line:
            verb, _, target = line.makefile().readline().strip().partition(" ")
            done = _try(target) if verb == "try" else _forward(target)
            line.sendall(b"0" if done else b"255")


def _try(target: str) -> bool:
    try:
        if os.environ.get("SSH_FORBIDS"):
            raise OSError("administratively prohibited: open failed")
        _connected(target).close()
    except OSError as error:
        sys.stderr.write(f"channel 2: open failed: {error.strerror or error}\n")
        sys.stderr.flush()
        return False
    return True


def _forward(wanted: str) -> bool:
    here, port, target = re.fullmatch(r"([\d.]+):(\d+):(.*)", wanted).groups()  # type: ignore[union-attr]
    listener = socket.create_server((here, int(port)))
    threading.Thread(target=_accept, args=(listener, target), daemon=True).start()
    return True


def _accept(listener: socket.socket, target: str) -> None:
    while True:
        near, _ = listener.accept()
        far = _connected(target)
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    while piece := one.recv(65536):
        other.sendall(piece)
    other.shutdown(socket.SHUT_WR)


def _connected(target: str) -> socket.socket:
    host, _, port = target.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
