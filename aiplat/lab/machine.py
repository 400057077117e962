"""Starts, finds and ends the process of a booted host (systemd-nspawn); what is on its disk is tree's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiplat.errors import AiplatError, Finding
from aiplat.lab.cgroups import processes
from aiplat.lab.names import bridge_name, machine_name
from aiplat.lab.tools import run
from aiplat.lab.tree import remove_tree

# The inner shell puts itself into every group and becomes systemd-nspawn, which takes the groups it is in
# as the roots of what the host sees. 0 stands for the process that writes it. A host that reboots is
# started again, as a machine would be: systemd-nspawn leaves that to whoever started it, and says so by 133.
_LAUNCHER = """
start() {
  while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 1; shift; done
  shift
  exec "$@"
}
code=133
while [ "$code" = 133 ]; do
  code=0
  (start "$@") || code=$?
done
exit "$code"
"""
_LAUNCHER_NAME = "aiplat-lab"
# What a container runtime calls and nspawn would refuse.
_ALSO_ALLOWED = "@mount @keyring bpf perf_event_open"
_DIRECTORY = "--directory="
_RUN, _KEPT = Path("/run/systemd/nspawn"), ("propagate", "unix-export")
_OWN_TOOLS = ("setpriv", "cp", "rm", "ssh")
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class HostProcess:
    """A process that runs a host, and when it started in clock ticks (pids are reused)."""

    pid: int
    started: int
    tree: Path
    launcher: bool  # what starts the host, and starts it again when it reboots


def boot(lab: str, host: str, tree: Path, groups: Iterable[Path], console: Path) -> None:
    """Start the host of `tree`; it outlives the caller. What it says while booting goes to `console`.

    Raises:
        AiplatError: the launcher could not be started, or what an earlier one left cannot be removed.
    """
    remove_run_files(machine_name(lab, host))
    argv = (
        *("setsid", "--fork", "sh", "-eu", "-c", _LAUNCHER, _LAUNCHER_NAME),
        *(str(group) for group in groups),
        "--",
        *nspawn_argv(lab, host, tree),
    )
    with console.open("wb") as output:
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_environment(),
        )
    if done.returncode != 0:
        raise AiplatError(Finding(f"host {host}", f"could not be started: {last_words(console)}"))


def nspawn_argv(lab: str, host: str, tree: Path) -> tuple[str, ...]:
    """Return the command that boots `tree` as a host on the lab's bridge."""
    return (
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"{_DIRECTORY}{tree}",
        f"--machine={machine_name(lab, host)}",
        f"--hostname={host}",
        f"--network-bridge={bridge_name(lab)}",
        "--capability=all",
        f"--system-call-filter={_ALSO_ALLOWED}",
        # Neither needs a systemd outside, nor asks it for anything where there is one.
        "--register=no",
        "--keep-unit",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=read-only",
        *(f"--bind={device}" for device in ("/dev/kmsg", "/dev/fuse") if Path(device).exists()),
    )


def _environment() -> dict[str, str]:
    # The lab has its own lock, and nspawn's lock files would stay behind after a kill.
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "SYSTEMD_NSPAWN_LOCK": "0"}


def find(tree: Path) -> HostProcess | None:
    """Return the process that runs the host of `tree`, its launcher while it (re)starts, or None."""
    found = [m for m in running_below(tree.parent) if m.tree == tree]
    return min(found, key=lambda m: (m.launcher, m.started, m.pid), default=None)


def running_below(folder: Path) -> tuple[HostProcess, ...]:
    """Return the processes that run hosts whose trees lie directly in `folder`, with their launchers."""
    return tuple(m for m in all_machines() if m.tree.parent == folder)


def all_machines() -> tuple[HostProcess, ...]:
    """Return every process that runs a host of any lab on this machine, with the launchers."""
    found = []
    for pid, argv in _command_lines():
        tree = next((a for a in argv if a.startswith(_DIRECTORY)), "")
        started = started_or_none(pid)
        if tree and "systemd-nspawn" in argv and started is not None:
            launcher = _LAUNCHER_NAME in argv
            found.append(HostProcess(pid, started, Path(tree.removeprefix(_DIRECTORY)), launcher))
    return tuple(found)


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")


def started_at(pid: int) -> int:
    """Return when a process started, in clock ticks since the machine booted."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[19])


def run_files(machines: str) -> tuple[Path, ...]:
    """Return what systemd-nspawn keeps for machines (a glob of their names), also when it was killed."""
    return tuple(path for kind in _KEPT for path in sorted((_RUN / kind).glob(machines)))


def remove_run_files(machines: str) -> None:
    """Remove what systemd-nspawn left of machines that no longer run, and would refuse to start again.

    Raises:
        AiplatError: something of it cannot be unmounted or removed.
    """
    for path in run_files(machines):
        # That of Debian 13 mounts a file system for the sockets that a machine shows to the outside.
        if path.is_mount():
            run("umount", "--lazy", str(path))
        remove_tree(path)


def power_off(tree: Path, seconds: float) -> None:
    """Shut the host of `tree` down in order and wait until nothing runs it any more.

    Raises:
        AiplatError: it was not down after `seconds`.
    """
    asked: set[int] = set()
    deadline = time.monotonic() + seconds
    while (machine := find(tree)) is not None:
        if machine.pid not in asked:
            asked.add(machine.pid)
            _ask_to_end(machine)
        if time.monotonic() > deadline:
            problem = f"did not shut down within {seconds:.0f} s"
            raise AiplatError(Finding(f"host {tree.name}", problem, "`aiplat lab down` ends it"))
        time.sleep(_POLL_SECONDS)


def _ask_to_end(machine: HostProcess) -> None:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        handle = os.pidfd_open(machine.pid)
        try:
            if started_at(machine.pid) == machine.started:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        finally:
            os.close(handle)


def end_all(groups: Iterable[Path], others: Iterable[int], seconds: float = 60) -> None:
    """Kill every process in `groups` and the `others`, and wait until all are gone, reaped too.

    Raises:
        AiplatError: some still run after `seconds`.
    """
    watched, deadline = tuple(groups), time.monotonic() + seconds
    dying = {pid: started for pid in others if (started := started_or_none(pid)) is not None}
    while True:
        dying |= {pid: s for pid in processes(watched) if (s := started_or_none(pid)) is not None}
        left = {pid for pid, started in dying.items() if started_or_none(pid) == started}
        if not left:
            return
        if time.monotonic() > deadline:
            if not any(_runs(pid) for pid in left):
                return  # dead, and whoever started them does not ask for their status
            raise AiplatError(Finding("lab", f"processes {sorted(left)[:10]} do not end", "run it again"))
        for pid in left:
            _kill(pid)
        time.sleep(_POLL_SECONDS)


def still_working_on(folder: Path) -> tuple[int, ...]:
    """Return what copies or removes files of the lab's `folder`, or logs in with its key, at this moment.

    A command that was killed may have left them; a shell somebody has open on a host is one too.
    """
    found = []
    for pid, argv in _command_lines():
        if Path(argv[0]).name in _OWN_TOOLS and any(a.startswith(f"{folder}/") for a in argv[1:]):
            found.append(pid)
    return tuple(found)


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def started_or_none(pid: int) -> int | None:
    """Return when a process started, as `started_at`, or None once it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return started_at(pid)
    return None


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def last_words(console: Path) -> str:
    """Return the last lines a host said while booting, for a finding."""
    with contextlib.suppress(FileNotFoundError):
        lines = console.read_text(errors="replace").splitlines()
        return " / ".join([line.strip() for line in lines if line.strip()][-4:])
    return ""
