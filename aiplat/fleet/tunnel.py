"""Brings ports of hosts that only ssh reaches here: one connection a host, closed with the process."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import secrets
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import IO, cast

from aiplat.cluster.way import SSH_PORT, End, Way
from aiplat.errors import Finding
from aiplat.fleet.guest_way import guest_way
from aiplat.fleet.sentences import explain
from aiplat.fleet.ssh import HostError, no_ssh, ssh_settings
from aiplat.fleet.ssh_config import as_options, config_options, connection, control_socket
from aiplat.site.addresses import in_url
from aiplat.site.models import Host, Site

_LOGIN_SECONDS = 60.0
_TRY_SECONDS = 15.0
_END_SECONDS = 5.0
_TRIES = 5
_MOST_SAID = 1 << 20
# The far side says that it is there, then waits for the end of its input: the end of this process.
_HERE = "aiplat: the tunnel is open"
_REFUSED = re.compile(r"open failed: (.*)")


def is_behind(site: Site, host: Host) -> bool:
    """Whether only ssh reaches a host: a jump host is on the way, or its address is a name of ssh's."""
    if host.ssh.tunnel != "auto":
        return host.ssh.tunnel == "always"
    if host.ssh.jump:
        return True
    try:
        settings = ssh_settings(site, host)
    except HostError:
        return False  # whoever connects is told what is wrong
    proxied = any(settings.get(name, "none") != "none" for name in ("proxyjump", "proxycommand"))
    return proxied or settings.get("hostname", host.address).lower() != host.address.lower()


def way_to(site: Site) -> Way:
    """Return how to reach a site's ports; what it opens stays open for whoever asks next."""
    if site.is_guest:
        return guest_way(site)
    # As text: settings of a host may be maps, and those cannot be keys.
    key = (site.name, site.endpoint, *(host.model_dump_json() for host in site.hosts))
    with _opening:
        if key not in _ways:
            _ways[key] = Tunnels(site)
        return _ways[key]


def close_tunnels() -> None:
    """End every connection that this process holds for its ways."""
    with _opening:
        for way in _ways.values():
            way.close()
        _ways.clear()


class Tunnels:
    """The way to one site: through ssh to hosts that are behind something, or to all of them if `always`."""

    def __init__(self, site: Site, *, always: bool = False) -> None:
        self._site, self._always = site, always
        self._behind: dict[str, bool] = {}
        self._connections: dict[str, HostConnection] = {}
        self._locks = {host.name: threading.Lock() for host in site.hosts}

    def to(self, address: str, port: int) -> End:
        """Return where a port of one of the site's addresses is reached; its endpoint is its first server's.

        Raises:
            HostError: the host cannot be reached, or nothing listens there; the finding says which.
        """
        known = (h for h in self._site.hosts if address in {h.address, *h.node_ips})
        host = next(known, self._site.servers[0])
        return self._end(host, port) if self._is_behind(host) else (address, port)

    def to_ssh(self, host: Host) -> End:
        """Return where a host's ssh server is reached, on the port that ssh's own configuration has.

        Raises:
            HostError: the host cannot be reached; the finding says why.
        """
        try:
            port = int(ssh_settings(self._site, host).get("port", SSH_PORT))
        except HostError:
            port = host.ssh.port or SSH_PORT
        return self._end(host, port) if self._is_behind(host) else (host.address, port)

    @property
    def holds(self) -> bool:
        """Whether any host is connected."""
        return any(held.holds for held in self._connections.values())

    def wait(self) -> HostError:
        """Wait until the first connection that was made ends, and return why it did."""
        return next(iter(self._connections.values())).wait()

    def close(self) -> None:
        """End all connections."""
        for held in self._connections.values():
            held.close()
        self._connections.clear()

    def _is_behind(self, host: Host) -> bool:
        if host.name not in self._behind:
            self._behind[host.name] = self._always or is_behind(self._site, host)
        return self._behind[host.name]

    def _end(self, host: Host, port: int) -> End:
        with self._locks[host.name]:
            held = self._connections.get(host.name)
            if held is None or not held.holds:
                held = self._connections[host.name] = HostConnection(self._site, host)
            return held.end(port)


class HostConnection:
    """A held connection to a host, by which its ports are reached on this machine.

    Raises:
        HostError: the host cannot be reached; the finding says why.
    """

    def __init__(self, site: Site, host: Host) -> None:
        self._site, self._host = site, host
        self._socket = control_socket(site, host, f"tunnel-{secrets.token_hex(8)}")
        self._ends: dict[int, End] = {}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the connection
        self._process = self._start()
        if not self._is_let_in():
            said = self._said()
            self.close()
            raise HostError(explain(site, host, said))

    @property
    def holds(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    def end(self, port: int) -> End:
        """Return where a port of the host is reached on this machine.

        Raises:
            HostError: nothing listens there, or the host forbids it.
        """
        if port not in self._ends:
            target = f"{in_url(self._host.node_ip)}:{port}"
            self._try(target)
            self._ends[port] = self._listen(target)
        return self._ends[port]

    def wait(self) -> HostError:
        """Wait until it ends by itself, and return why it did."""
        self._process.wait()
        # What single ports refused meanwhile did not end it.
        said = "".join(line for line in self._said().splitlines(True) if not _REFUSED.search(line))
        return HostError(explain(self._site, self._host, said))

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            cast("IO[bytes]", self._process.stdin).close()
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        cast("IO[bytes]", self._process.stdout).close()
        self._errors.close()

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {"ControlMaster": "yes", "ControlPersist": "no", "ControlPath": str(self._socket)}
        options = as_options(settings | connection(self._site, self._host))
        argv = ["ssh", *config_options(self._site, self._host), *options, self._host.address]
        pipe = subprocess.PIPE
        try:
            # Ctrl-C is for this process alone, which ends its tunnels itself.
            return subprocess.Popen(
                [*argv, f"echo '{_HERE}'; exec cat >/dev/null"],
                stdin=pipe,
                stdout=pipe,
                stderr=self._errors,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise no_ssh(self._host) from error

    def _is_let_in(self) -> bool:
        """Wait for the far side's word; a login that hangs is ended."""
        too_long = threading.Timer(_LOGIN_SECONDS, self._process.kill)
        too_long.start()
        try:
            # What a shell's start files print comes before it.
            return any(line.strip() == _HERE.encode() for line in self._lines())
        finally:
            too_long.cancel()

    def _lines(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdout)

    def _try(self, target: str) -> None:
        """See that a port is there: a forward of ssh's listens whether or not anything is behind it."""
        before = len(self._said())
        try:
            done = self._ask("-W", target)
        except subprocess.TimeoutExpired:
            raise self._closed(target, "no answer", "see whether a firewall there drops it") from None
        if done.returncode != 0:
            found = _REFUSED.findall(self._said()[before:])
            raise self._closed(target, *_why(found[-1].strip() if found else done.stderr.strip()))

    def _closed(self, target: str, reason: str, fix: str) -> HostError:
        return HostError(
            Finding(self._host.name, f"is reached by ssh, but its {target} is not ({reason})", fix)
        )

    def _listen(self, target: str) -> End:
        said = ""
        for _ in range(_TRIES):
            port = _free_port()
            done = self._ask("-O", "forward", "-L", f"127.0.0.1:{port}:{target}")
            if done.returncode == 0:
                return "127.0.0.1", port
            said = done.stderr.strip()
        raise HostError(Finding(self._host.name, f"no port could be forwarded ({said})", "run it again"))

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Ask the ssh that holds the connection; none of its own is made where that is gone."""
        settings = {"ControlPath": str(self._socket), "ProxyCommand": "false"}
        argv = ["ssh", "-F", os.devnull, *as_options(settings), *words, self._host.address]
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TRY_SECONDS, check=False
        )

    def _said(self) -> str:
        # Read at a place of its own: ssh keeps writing where it stopped.
        return os.pread(self._errors.fileno(), _MOST_SAID, 0).decode(errors="replace")


def _why(reason: str) -> Sequence[str]:
    if "administratively prohibited" in reason:
        return "its sshd forbids forwarding", "set AllowTcpForwarding yes in sshd_config there"
    if "refused" in reason:
        return "nothing listens there", "look with `aiplat plan`; `aiplat bootstrap` repairs what differs"
    return reason or "no reason given", "look with `aiplat plan`"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


_opening = threading.Lock()
_ways: dict[tuple[str, ...], Tunnels] = {}
atexit.register(close_tunnels)
