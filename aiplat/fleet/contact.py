"""Makes hosts' acquaintance: their keys are confirmed, sudo's password is found out; changes no host."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from aiplat.content import write_atomic
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.fleet.route import Hop, login, route
from aiplat.fleet.sentences import explain, wants_password
from aiplat.fleet.side_by_side import of_each
from aiplat.fleet.ssh import HostError, remote_user, run_plainly
from aiplat.fleet.ssh_config import as_options, known_hosts, runtime_dir
from aiplat.fleet.sudo import need_command, remember_password, sudo_password, try_command
from aiplat.site.models import Host, Site
from aiplat.state import home

_TRIES = 3
_MAX_PARALLEL = 16
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class HostKey:
    """A key that a machine showed and this site does not know: `line` is known_hosts' own."""

    what: str
    line: str

    @property
    def name(self) -> str:
        """The machine's name as known_hosts has it."""
        return self.line.split()[0]

    @property
    def kind(self) -> str:
        """The kind of the key, as `ssh-keygen -l` says it."""
        return self.line.split()[1].removeprefix("ssh-").removeprefix("ecdsa-sha2-").upper()

    @property
    def fingerprint(self) -> str:
        """What people compare, as `ssh-keygen -l` says it."""
        digest = hashlib.sha256(base64.b64decode(self.line.split()[2])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class Dialogue(Protocol):
    """Whoever decides: a person at a terminal, or options given beforehand."""

    def trust(self, keys: Sequence[HostKey]) -> bool:
        """Say whether these are the machines' own keys."""
        ...

    def password(self, user: str, hosts: Sequence[str], wrong: bool) -> str | None:
        """Return the password that `user` gives sudo on these hosts; None where nobody can be asked."""
        ...


def make_contact(site: Site, hosts: Sequence[Host], dialogue: Dialogue) -> None:
    """Learn what reaching these hosts needs, asking where it is not known; what cannot be reached is left.

    Raises:
        BadInput: a key was not accepted, or the password is wrong; nothing was changed.
    """
    routes = _each(hosts, lambda host: _route(site, host))
    for level in range(max((len(hops) for _, hops in routes), default=0)):
        wanted = {hops[level].name: (host, hops[level]) for host, hops in routes if len(hops) > level}
        strangers = [pair for name, pair in wanted.items() if not _knows(known_hosts(site), name)]
        _learn(
            site, [key for _, keys in _each(strangers, lambda s: _shown(site, *s)) for key in keys], dialogue
        )
    _find_password(site, hosts, dialogue)


def _route(site: Site, host: Host) -> tuple[Hop, ...]:
    try:
        return route(site, host)
    except HostError:
        return ()  # the probe tells what is wrong


def _knows(file: Path, name: str) -> bool:
    return bool(_lines_of(file, name))


def _lines_of(file: Path, name: str) -> list[str]:
    if not file.is_file():
        return []
    done = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", str(file)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in done.stdout.splitlines() if line and not line.startswith("#")]


def _shown(site: Site, host: Host, hop: Hop) -> list[HostKey]:
    """Return the key a machine shows: ssh ends before it logs in there, jump hosts before it are known."""
    with tempfile.TemporaryDirectory(dir=runtime_dir()) as folder:
        new = Path(folder) / "new"
        settings = {
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": f'"{new}"',
            "PreferredAuthentications": "none",
            "ControlPath": "none",
        }
        try:
            run_plainly(site, host, [*as_options(settings), *hop.arguments, "true"])
        except HostError:
            return []
        lines = new.read_text(encoding="utf-8").splitlines() if new.exists() else []
    return [HostKey(hop.what, line) for line in lines if len(line.split()) >= len(("name", "kind", "key"))]


def _learn(site: Site, keys: Sequence[HostKey], dialogue: Dialogue) -> None:
    """Add the keys to the site's known_hosts once they are trusted; the user's own file counts as trust."""
    strange = [key for key in keys if not _trusted_by_user(key)]
    if strange and not dialogue.trust(strange):
        told = [Finding(key.what, f"its key {key.fingerprint} was not accepted") for key in strange]
        raise BadInput(told)
    if keys:
        file = known_hosts(site)
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        added = "".join(f"{key.line}\n" for key in keys)
        write_atomic(file, (before + added).encode(), 0o600)


def _trusted_by_user(key: HostKey) -> bool:
    own = (home() / ".ssh" / "known_hosts", Path("/etc/ssh/ssh_known_hosts"))
    lines = (line.split() for file in own for line in _lines_of(file, key.name))
    return any(words[1:3] == key.line.split()[1:3] for words in lines)


def _find_password(site: Site, hosts: Sequence[Host], dialogue: Dialogue) -> None:
    """Find out sudo's password if one of the hosts wants it: tried on one host before all the others."""
    asking = [host for host, asks in _each(hosts, lambda host: _asks(site, host)) if asks]
    password = _password_for(site, asking, dialogue) if asking else None
    if password is None:
        return
    refusals = [said for _, said in _each(asking[1:], lambda host: _refusal(site, host, password)) if said]
    if refusals:
        raise BadInput(refusals)
    remember_password(password)


def _password_for(site: Site, asking: Sequence[Host], dialogue: Dialogue) -> str | None:
    """Return a password that the first host takes; None where there is none and nobody can be asked."""
    given = sudo_password()
    wrong = _refusal(site, asking[0], given) if given is not None else None
    if given is not None and wrong is None:
        return given
    user, names = remote_user(site, asking[0]), [host.name for host in asking]
    for attempt in range(_TRIES if given is None else 0):
        password = dialogue.password(user, names, attempt > 0)
        if password is None:
            return None
        wrong = _refusal(site, asking[0], password)
        if wrong is None:
            return password
    raise BadInput(wrong or ())


def _asks(site: Site, host: Host) -> bool:
    try:
        if remote_user(site, host) == "root":
            return False
        done = run_plainly(site, host, [*login(site, host), need_command()])
    except AiplatError:
        return False
    return done.code != 0 and wants_password(done.stderr)


def _refusal(site: Site, host: Host, password: str) -> Finding | None:
    try:
        done = run_plainly(site, host, [*login(site, host), try_command()], f"{password}\n".encode())
    except HostError as error:
        return error.findings[0]
    return None if done.code == 0 else explain(site, host, done.stderr)


def _each(items: Iterable[_In], work: Callable[[_In], _Out]) -> list[tuple[_In, _Out]]:
    todo = list(items)
    return list(zip(todo, of_each(todo, work, _MAX_PARALLEL), strict=True))
