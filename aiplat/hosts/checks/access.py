"""Checks of whether a host can be looked at and changed at all."""

from __future__ import annotations

from aiplat.hosts.check import BLOCKER, SeenHost, check, install

OLDEST_PYTHON = (3, 9)


def _advised(host: SeenHost) -> str:
    return host.look.fix


@check("reachable", BLOCKER, _advised, early=True)
def reachable(host: SeenHost) -> str:
    """The host answers over SSH, shows the host key it should, and lets the user in."""
    return "" if "sudo" in host.look.problem else host.look.problem


@check("root", BLOCKER, _advised, early=True)
def root(host: SeenHost) -> str:
    """The user is root or may become it with sudo."""
    if "sudo" in host.look.problem:
        return host.look.problem
    return "" if host.look.is_root else "commands do not run as root"


@check("python", BLOCKER, install("python3"), early=True)
def python(host: SeenHost) -> str:
    """Python 3 is on the host: it is what looks and what Ansible works with."""
    return "" if host.look.python else "python3 is not installed"


def _newer_python(host: SeenHost) -> str:
    if host.look.os_id in ("rhel", "rocky", "almalinux", "ol", "centos"):
        return "use release 9 of the system, or `dnf install python39` and make it python3"
    return "use a newer release of the system"


@check("python-version", BLOCKER, _newer_python, early=True)
def python_version(host: SeenHost) -> str:
    """Python is 3.9 or newer."""
    parts = tuple(int(part) for part in host.look.python.split(".")[:2] if part.isdigit())
    return (
        f"python3 is {host.look.python}, and 3.9 is the oldest that will do" if parts < OLDEST_PYTHON else ""
    )
