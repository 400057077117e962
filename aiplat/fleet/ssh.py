"""Reaches one host by OpenSSH: arguments, one command, errors as sentences; what is run belongs elsewhere."""

from __future__ import annotations

import getpass
import hashlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiplat.errors import AiplatError, Finding
from aiplat.site.models import Host, Site
from aiplat.state import private_dir, site_dir

CONNECT_TIMEOUT_SECONDS = 10
SSH_FAILED = 255

# Root runs the command as it is, anybody else by sudo without a prompt.
_AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; else exec sudo -n -- "$@"; fi'


@dataclass(frozen=True)
class Completed:
    """How a remote command ended; `code` 255 is ssh's own failure."""

    code: int
    stdout: bytes
    stderr: str


class HostError(AiplatError):
    """A host does not answer, is not the host it should be, or a command on it failed."""


def runtime_dir() -> Path:
    """Return a short private folder, in memory if there is one: a control socket's path must be short."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and os.access(base, os.W_OK):
        return private_dir(Path(base) / "aiplat")
    memory = Path("/dev/shm")  # noqa: S108 (the folder made in it is private)
    parent = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    folder = private_dir(parent / f"aiplat-{os.getuid()}")
    if folder.stat().st_uid != os.getuid():
        raise HostError(Finding(str(folder), "belongs to another user", "remove it or set XDG_RUNTIME_DIR"))
    return folder


def known_hosts(site: Site) -> Path:
    """Return the file with the host keys that this site's hosts must show."""
    return site_dir(site.name) / "known_hosts"


def control_socket(site: Site, host: Host, run_id: str) -> Path:
    """Return the socket of the connection that a run's lease holds to a host; short, as sockets need it."""
    name = hashlib.sha256(f"{site.name}/{host.name}/{run_id}".encode()).hexdigest()[:20]
    return runtime_dir() / name


def connection(site: Site, host: Host) -> dict[str, str]:
    """Return ssh's options for a host: only what the site names, and keys checked against known_hosts."""
    settings = {
        "UserKnownHostsFile": f'"{known_hosts(site)}"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": str(CONNECT_TIMEOUT_SECONDS),
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
    }
    key = host.ssh.key.expanduser() if host.ssh.key else site_dir(site.name) / "ssh_key"
    if host.ssh.key or key.is_file():
        settings |= {"IdentitiesOnly": "yes", "IdentityFile": f'"{key}"'}
    if host.ssh.user:
        settings["User"] = host.ssh.user
    if host.ssh.port:
        settings["Port"] = str(host.ssh.port)
    return settings


def as_options(settings: Mapping[str, str]) -> list[str]:
    """Return settings as ssh takes them on its command line."""
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def ssh_argv(site: Site, host: Host, argv: Sequence[str], more: Mapping[str, str] | None = None) -> list[str]:
    """Return the whole local command that runs `argv` as root on a host; `more` are further ssh settings."""
    remote = shlex.join(["sh", "-c", _AS_ROOT, "sh", *argv])
    options = as_options(connection(site, host) | {"ControlPath": "none"} | dict(more or {}))
    return ["ssh", *options, host.address, remote]


def remote_user(site: Site, host: Host) -> str:
    """Return the user ssh will log in as, its own configuration included; asks ssh, reaches nobody."""
    done = subprocess.run(
        ["ssh", "-G", *as_options(connection(site, host)), host.address],
        capture_output=True,
        text=True,
        check=True,
    )
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("user "))


def run_on(site: Site, host: Host, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60) -> Completed:
    """Run one command as root on a host and wait at most `timeout` seconds.

    Raises:
        HostError: ssh itself failed or the time ran out; the finding says why and what to do.
    """
    try:
        done = subprocess.run(
            ssh_argv(site, host, argv), input=stdin, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        problem = f"`{argv[0]}` did not end within {timeout:.0f} s"
        raise HostError(Finding(host.name, problem, "see whether the host is overloaded")) from error
    completed = Completed(done.returncode, done.stdout, done.stderr.decode(errors="replace"))
    if completed.code == SSH_FAILED or "sudo:" in completed.stderr:
        raise HostError(explain(site, host, completed.stderr))
    return completed


def explain(site: Site, host: Host, stderr: str) -> Finding:
    """Turn what ssh printed into a finding: what is wrong with reaching this host and what to do."""
    user = host.ssh.user or f"ssh's default user (often {getpass.getuser()})"
    port = host.ssh.port or 22
    keyscan = f"ssh-keyscan -p {port} {host.address} >> {known_hosts(site)}"
    sentences = {
        "IDENTIFICATION HAS CHANGED": (
            f"{host.address} shows another host key than the one in {known_hosts(site)}",
            f"find out why; if the host was reinstalled: ssh-keygen -f {known_hosts(site)} -R {host.address}",
        ),
        "Host key verification failed": (
            f"the host key of {host.address} is not known",
            f"compare its fingerprint, then: {keyscan}",
        ),
        "Permission denied": (
            f"{host.address} does not let {user} in with this key",
            f"set hosts[{host.name}].ssh.user and ssh.key in site.yaml, or load the key into ssh-agent",
        ),
        "sudo:": (
            f"{user} may not use sudo without a password",
            "allow it in /etc/sudoers.d, or name a user who is root",
        ),
        "Could not resolve": (f"the name {host.address} is not known", "correct its address in site.yaml"),
    }
    for sign, (problem, fix) in sentences.items():
        if sign in stderr:
            return Finding(host.name, problem, fix)
    last = (stderr.strip().splitlines() or ["ssh gave no reason"])[-1]
    return Finding(
        host.name, f"does not answer on {host.address}:{port} ({last})", "see that it is on and sshd runs"
    )
