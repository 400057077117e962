"""What ssh is told of a host: aiplat's settings, then the user's own configuration; runs nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aiplat.content import write_atomic
from aiplat.site.models import Host, Site
from aiplat.state import expanded, home, private_dir, site_dir

CONNECT_TIMEOUT_SECONDS = 10
# Settings of this file hold for jump hosts too: ssh hands the file on to the ssh that it starts for them.
_ALWAYS = {
    "GlobalKnownHostsFile": "/dev/null",
    "StrictHostKeyChecking": "yes",
    "HashKnownHosts": "no",
    "UpdateHostKeys": "no",
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECT_TIMEOUT_SECONDS),
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    # What a user's configuration says for work at a terminal would disturb a program.
    "ControlMaster": "no",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "LogLevel": "INFO",
}
_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")


def runtime_dir() -> Path:
    """Return a short private folder, in memory if there is one: a control socket's path must be short.

    Raises:
        AiplatError: what is in its place is not this user's own folder.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and os.access(base, os.W_OK):
        return private_dir(Path(base) / "aiplat", own=True)
    memory = Path("/dev/shm")  # noqa: S108 (the folder made in it is private)
    parent = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    return private_dir(parent / f"aiplat-{os.getuid()}", own=True)


def known_hosts(site: Site) -> Path:
    """Return the file with the host keys that this site's hosts and jump hosts must show."""
    return site_dir(site.name) / "known_hosts"


def user_config() -> Path:
    """Return the user's own ssh configuration."""
    return home() / ".ssh" / "config"


def control_socket(site: Site, host: Host, run_id: str) -> Path:
    """Return the socket of the connection that a run's lease holds to a host; short, as sockets need it."""
    return runtime_dir() / _short(site.name, host.name, run_id)


def connection(site: Site, host: Host) -> dict[str, str]:
    """Return ssh's settings for one host: only what the site names; the rest is the configuration's."""
    settings = {}
    if login_key(site, host):
        settings["IdentitiesOnly"] = "yes"
    if host.ssh.user:
        settings["User"] = host.ssh.user
    if host.ssh.port:
        settings["Port"] = str(host.ssh.port)
    if host.ssh.jump:
        settings["ProxyJump"] = ",".join(host.ssh.jump)
    return settings


def login_key(site: Site, host: Host) -> Path | None:
    """Return the key file that the site names or a lab made; None leaves it to ssh and its agent."""
    if host.ssh.key:
        return expanded(host.ssh.key)
    made = site_dir(site.name) / "ssh_key"
    return made if made.is_file() else None


def as_options(settings: Mapping[str, str]) -> list[str]:
    """Return settings as ssh takes them on its command line."""
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def config_options(site: Site, host: Host) -> list[str]:
    """Write the host's configuration file if it is not there as wanted; return how ssh is told of it."""
    path = runtime_dir() / f"{_short(site.name, host.name, 'config')}.conf"
    text = config_text(site, host).encode()
    if not path.exists() or path.read_bytes() != text:
        write_atomic(path, text, 0o600)
    return ["-F", str(path)]


def config_text(site: Site, host: Host) -> str:
    """Return the configuration by which a host is reached, and every jump host on the way."""
    settings = _ALWAYS | {"UserKnownHostsFile": f'"{known_hosts(site)}"'}
    if key := login_key(site, host):
        settings["IdentityFile"] = f'"{key}"'
    lines = [
        f"# How aiplat reaches {host.name} of {site.name}. ssh takes the first value it finds.",
        "Host *",
    ]
    lines += [f"  {name} {value}" for name, value in settings.items()]
    lines += [f'Include "{path}"' for path in (user_config(), _SYSTEM_CONFIG) if path.is_file()]
    return "\n".join(lines) + "\n"


def _short(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:20]
