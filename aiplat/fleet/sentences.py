"""Turns what ssh and sudo print into findings: what is wrong with a host, and what to do about it."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from aiplat.errors import Finding
from aiplat.fleet.answers import last_line
from aiplat.fleet.ssh_config import known_hosts, login_key
from aiplat.fleet.sudo import PASSWORD_FILE
from aiplat.site.addresses import in_url
from aiplat.site.models import Host, Site

ACCEPT = "--accept-new-host-keys"
ASK = "--ask-sudo-password"
Sentence = tuple[str, str]

# ssh's words for names it looks up in known_hosts: "[10.0.0.1]:2222", or the name alone for port 22.
_UNKNOWN = re.compile(r"No \S+ host key is known for (\S+) and")
_CHANGED = re.compile(r"[Hh]ost key for (\S+) has changed")
_DENIED = re.compile(r"^(?:(\S+)@)?(\S+?): Permission denied \((.*)\)", re.MULTILINE)
_UNRESOLVED = re.compile(r"Could not resolve hostname (\S+?):")
_HARMLESS = re.compile(r"^sudo: (unable to resolve host|setrlimit|unable to send audit)", re.MULTILINE)


def sudo_refused(code: int, stderr: str) -> bool:
    """Whether a command failed because it could not become root's; warnings of sudo are not a refusal."""
    return code != 0 and any(sign in stderr for sign, _ in _SUDO)


def wants_password(stderr: str) -> bool:
    """Whether sudo would have asked for a password."""
    return any(sign in stderr for sign in _PASSWORD_SIGNS)


def explain(site: Site, host: Host, stderr: str) -> Finding:
    """Return what is wrong with reaching this host, or with becoming root there, and what to do."""
    for sign, say in (*_SSH, *_SUDO):
        if sign in stderr:
            return Finding(host.name, *say(site, host, stderr))
    told = "\n".join(line for line in stderr.strip().splitlines() if not _HARMLESS.match(line))
    where = f"{in_url(host.address)}:{host.ssh.port}" if host.ssh.port else host.address
    way = f" through {', '.join(host.ssh.jump)}" if host.ssh.jump else ""
    problem = f"does not answer on {where}{way} ({last_line(told, 'ssh gave no reason')})"
    return Finding(host.name, problem, "see that it is on and sshd runs")


def who(host: Host) -> str:
    """Return whom ssh logs in as, in words."""
    return host.ssh.user or f"ssh's default user (often {own_name()})"


def own_name() -> str:
    """Return the name of this process's user; where the system knows none, as in containers, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _changed(site: Site, host: Host, stderr: str) -> Sentence:
    found = _CHANGED.search(stderr)
    name = found[1] if found else host.address
    file = known_hosts(site)
    problem = f"{name} shows another host key than the one in {file}"
    return problem, f"find out why; if that machine was reinstalled: ssh-keygen -f {file} -R '{name}'"


def _unknown(_site: Site, host: Host, stderr: str) -> Sentence:
    found = _UNKNOWN.search(stderr)
    fix = f"run `aiplat plan` in a terminal and compare the fingerprint it shows, or give {ACCEPT}"
    return f"the host key of {found[1] if found else host.address} is not known", fix


def _denied(site: Site, host: Host, stderr: str) -> Sentence:
    found = _DENIED.search(stderr)
    user, machine = (found[1], found[2]) if found else (None, host.address)
    if jump := next((j for j in host.ssh.jump if machine and machine in j), None):
        fix = "load its key into ssh-agent (ssh-add), or give it an IdentityFile in ~/.ssh/config"
        return f"the jump host {jump} does not let {user or 'you'} in", fix
    key = login_key(site, host)
    if key and _is_encrypted(key):
        problem = f"{host.address} does not let {who(host)} in: {key} has a passphrase"
        return problem, f"load it into ssh-agent: ssh-add {key}"
    fix = (
        "name its user and key (site.yaml: ssh.user and ssh.key; else USER@HOST and --key), or use ssh-agent"
    )
    if found and "publickey" not in found[3]:
        return f"{host.address} takes passwords only ({found[3]}), no keys", "allow keys there (ssh-copy-id)"
    return f"{host.address} does not let {user or who(host)} in with this key", fix


def _is_encrypted(key: Path) -> bool:
    argv = ["ssh-keygen", "-y", "-P", "", "-f", str(key)]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode != 0 and "passphrase" in done.stderr


def _unresolved(_site: Site, host: Host, stderr: str) -> Sentence:
    found = _UNRESOLVED.search(stderr)
    name = found[1] if found else host.address
    what = "its address" if name == host.address else "its ssh.jump"
    return f"the name {name} is not known", f"correct {what}, or its HostName in ~/.ssh/config"


def _beyond_jump(_site: Site, host: Host, stderr: str) -> Sentence:
    jump = host.ssh.jump[-1] if host.ssh.jump else "the jump host"
    reason = re.search(r"open failed: (.*)", stderr)
    why = reason[1].strip() if reason else "no reason given"
    if "administratively prohibited" in stderr:
        return f"{jump} forbids going on to {host.address}", f"set AllowTcpForwarding yes in {jump}'s sshd"
    return (
        f"{jump} is reached, but {host.address} is not from there ({why})",
        "see that it is on and sshd runs",
    )


def _asks(_site: Site, host: Host, _stderr: str) -> Sentence:
    fix = (
        f"answer in a terminal ({ASK}), name a file with it in {PASSWORD_FILE}, or allow NOPASSWD in sudoers"
    )
    return f"{who(host)} needs a password for sudo", fix


def _said(problem: str, fix: str) -> Callable[[Site, Host, str], Sentence]:
    return lambda _site, host, _stderr: (
        problem.format(user=who(host)),
        fix.format(user=host.ssh.user or "USER"),
    )


_PASSWORD_SIGNS = (
    "a password is required",
    "a terminal is required to read the password",
    "interactive authentication is required",
)
_WRONG = _said(
    "the sudo password of {user} is wrong", f"try again ({ASK}); too many tries may lock the account"
)
_NOT_ALLOWED = _said(
    "{user} may not use sudo", "as root there: echo '{user} ALL=(ALL) ALL' >/etc/sudoers.d/{user}"
)
# Signs in what sudo (and sudo-rs) prints in English, and what each means. Those that say more come first.
_SUDO: tuple[tuple[str, Callable[[Site, Host, str], Sentence]], ...] = (
    (
        "must have a tty to run sudo",
        _said("sudo wants a terminal there (requiretty)", "add `Defaults:{user} !requiretty` to its sudoers"),
    ),
    ("is not in the sudoers file", _NOT_ALLOWED),
    ("may not run sudo on", _NOT_ALLOWED),
    ("I'm afraid I can't do that", _NOT_ALLOWED),
    (
        "is not allowed to execute",
        _said(
            "{user} may use sudo for some commands only", "allow {user} every command, as ALL=(ALL) ALL does"
        ),
    ),
    ("incorrect password attempt", _WRONG),
    ("incorrect authentication attempt", _WRONG),
    ("no password was provided", _WRONG),
    (
        "password is expired",
        _said("the password of {user} has expired there", "log in there once and set a new one (passwd)"),
    ),
    (
        "account validation failure",
        _said("the account of {user} is locked there", "unlock it there (faillock --user {user} --reset)"),
    ),
    *((sign, _asks) for sign in _PASSWORD_SIGNS),
    (
        "must be owned by uid 0",
        _said("sudo is damaged there: it does not belong to root", "reinstall the package sudo there"),
    ),
    (
        "no new privileges",
        _said(
            "sudo cannot work there: new privileges are forbidden", "log in by sshd itself, in no container"
        ),
    ),
    ("sudo: not found", _said("there is no sudo, and {user} is not root", "install sudo, or log in as root")),
    (
        "sudo: command not found",
        _said("there is no sudo, and {user} is not root", "install sudo, or log in as root"),
    ),
    ("syntax error", _said("its sudoers file has an error", "correct it there with visudo")),
)
_SSH: tuple[tuple[str, Callable[[Site, Host, str], Sentence]], ...] = (
    ("IDENTIFICATION HAS CHANGED", _changed),
    ("Host key verification failed", _unknown),
    ("Could not resolve", _unresolved),
    ("open failed: ", _beyond_jump),
    ("Permission denied (", _denied),
    (
        "Too many authentication failures",
        _said(
            "ssh-agent offers too many keys before the right one",
            "name the key (site.yaml: ssh.key; else --key)",
        ),
    ),
    (
        "Bad owner or permissions on",
        _said("ssh refuses its configuration: others may write it", "run chmod go-w ~/.ssh/config"),
    ),
    (
        "Bad configuration option",
        _said("ssh does not understand ~/.ssh/config", "see `ssh -G HOST`, which names the line"),
    ),
)
