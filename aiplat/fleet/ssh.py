"""Reaches one host by OpenSSH: arguments, one command, its end; what is run belongs elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiplat.errors import AiplatError, Finding
from aiplat.fleet.answers import OUTPUT_BYTES, TooMuchError, exchange
from aiplat.fleet.sentences import explain, sudo_refused
from aiplat.fleet.ssh_config import as_options, config_options, connection
from aiplat.fleet.sudo import OUTPUT_BEGINS, as_root, preamble
from aiplat.site.models import Host, Site

SSH_FAILED = 255


@dataclass(frozen=True)
class Completed:
    """How a remote command ended; `code` 255 is ssh's own failure."""

    code: int
    stdout: bytes
    stderr: str


class HostError(AiplatError):
    """A host does not answer, is not the host it should be, or a command on it failed."""


def ssh_argv(site: Site, host: Host, argv: Sequence[str], more: Mapping[str, str] | None = None) -> list[str]:
    """Return the whole local command that runs `argv` as root on a host; `more` are further ssh settings.

    Its input has to begin with `aiplat.fleet.sudo.preamble()`.
    """
    settings = {"ControlPath": "none"} | dict(more or {}) | connection(site, host)
    return ["ssh", *config_options(site, host), *as_options(settings), host.address, as_root(argv)]


def remote_user(site: Site, host: Host) -> str:
    """Return the user ssh will log in as, its own configuration included; asks ssh, reaches nobody."""
    return ssh_settings(site, host).get("user", "")


def ssh_settings(site: Site, host: Host, way: Sequence[str] = ()) -> dict[str, str]:
    """Return what ssh makes of its configuration for a host, or for another `way`; reaches nobody.

    Raises:
        HostError: ssh is not there, or does not understand its configuration.
    """
    to_host = (*as_options(connection(site, host)), host.address)
    argv = ["ssh", "-G", *config_options(site, host), *(way or to_host)]
    done = _run(host, argv, b"", None)
    if done.code != 0:
        raise HostError(explain(site, host, done.stderr))
    pairs = (line.partition(" ") for line in done.stdout.decode(errors="replace").splitlines())
    return {name: value for name, _, value in pairs}


def run_on(site: Site, host: Host, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60) -> Completed:
    """Run one command as root on a host and wait at most `timeout` seconds.

    Raises:
        HostError: ssh itself failed or the time ran out; the finding says why and what to do.
    """
    command = ssh_argv(site, host, argv)
    try:
        completed = _run(host, command, preamble() + stdin, timeout)
    except subprocess.TimeoutExpired as error:
        problem = f"`{argv[0]}` did not end within {timeout:.0f} s"
        raise HostError(Finding(host.name, problem, "see whether the host is overloaded")) from error
    if completed.code == SSH_FAILED or sudo_refused(completed.code, completed.stderr):
        raise HostError(explain(site, host, completed.stderr))
    return replace(completed, stdout=_own_output(completed.stdout))


def run_plainly(
    site: Site, host: Host, command: Sequence[str], stdin: bytes = b"", timeout: float = 60
) -> Completed:
    """Run an ssh command line as it is and return how it ended, whatever came of it.

    Raises:
        HostError: ssh is not there, or the time ran out.
    """
    argv = ["ssh", *config_options(site, host), *command]
    try:
        return _run(host, argv, stdin, timeout)
    except subprocess.TimeoutExpired as error:
        problem = f"ssh did not end within {timeout:.0f} s"
        raise HostError(Finding(host.name, problem, "see whether the host is overloaded")) from error


def no_ssh(host: Host) -> HostError:
    """Return the error of a machine without ssh."""
    fix = "install it (Debian: apt install openssh-client)"
    return HostError(Finding(host.name, "cannot be reached: this machine has no ssh", fix))


def _own_output(stdout: bytes) -> bytes:
    before, begins, output = stdout.partition(f"{OUTPUT_BEGINS}\n".encode())
    return output if begins else before


def _run(host: Host, argv: Sequence[str], stdin: bytes, timeout: float | None) -> Completed:
    pipe = subprocess.PIPE
    try:
        # A group of its own, so that the ssh it starts for a jump host ends with it.
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, process_group=0)
    except FileNotFoundError as error:
        raise no_ssh(host) from error
    _commands.add(process)
    try:
        stdout, stderr = exchange(process, stdin, timeout)
    except TooMuchError as error:
        _end(process)
        process.wait()
        raise _too_much(host) from error
    except BaseException:
        _end(process)
        process.wait()
        raise
    finally:
        _commands.discard(process)
        _close(process)
    return Completed(process.returncode, stdout, stderr.decode(errors="replace"))


def _too_much(host: Host) -> HostError:
    problem = f"answers with more than {OUTPUT_BYTES >> 20} MiB"
    return HostError(Finding(host.name, problem, "see what `ssh HOST true` prints, and whose host it is"))


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def end_commands() -> None:
    """End every ssh that a thread of this process waits for; they end as if the connection had broken."""
    for process in list(_commands):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


_commands: set[subprocess.Popen[bytes]] = set()
