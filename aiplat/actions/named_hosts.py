"""Turns hosts named on a command line (`root@10.0.0.11:2222`, an ssh alias) into a site of those hosts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiplat.errors import BadInput, Finding
from aiplat.site.models import Site

_HOST = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:@\[\]/]+)(?::(?P<port>\d{1,5}))?"
)
NAME_RULE = "use lower-case letters, digits and hyphens, 63 at most"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def site_of(name: str, hosts: Sequence[str], key: Path | None = None) -> Site:
    """Return a site of the hosts named: the first is the server, the rest are agents.

    Raises:
        BadInput: a name cannot be read, or is there twice; all that is wrong at once.
    """
    wrong: list[Finding] = []
    found = [
        _host(text, "agent" if position else "server", key, wrong) for position, text in enumerate(hosts)
    ]
    for address, count in Counter(host["address"] for host in found if host).items():
        if count > 1:
            wrong.append(Finding(address, f"is named {count} times", "name each host once"))
    if not is_label(name):
        wrong.append(Finding("--name", f"{name!r} is not a site name", NAME_RULE))
    if wrong:
        raise BadInput(wrong)
    document = {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": name,
        "hosts": _told_apart(found),
    }
    return Site.model_validate(document)


def is_label(text: str) -> bool:
    """Whether a text may be the name of a site or host."""
    return _LABEL.fullmatch(text) is not None


def _host(text: str, role: str, key: Path | None, wrong: list[Finding]) -> dict[str, Any]:
    match = _HOST.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (port is not None and not 0 < port < 2**16):
        fix = "write it as HOST, USER@HOST or USER@HOST:PORT; an IPv6 address in brackets"
        wrong.append(Finding(text, "is not a host", fix))
        return {}
    address = match["host"].strip("[]")
    ssh = {"user": match["user"], "port": port, "key": str(key) if key else None}
    return {
        "name": label(address),
        "address": address,
        "role": role,
        "ssh": {name: value for name, value in ssh.items() if value is not None},
    }


def label(text: str) -> str:
    """Return a text as the name of a host: of a DNS name its first part, of an address its digits."""
    first = text if re.fullmatch(r"[0-9.]+|.*:.*", text) else text.partition(".")[0]
    return re.sub(r"[^a-z0-9]+", "-", first.lower()).strip("-")[:63].strip("-") or "host"


def _told_apart(hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the hosts with names that differ."""
    taken: Counter[str] = Counter()
    named = []
    for host in hosts:
        taken[host["name"]] += 1
        count = taken[host["name"]]
        named.append(host | {"name": f"{host['name']}-{count}"} if count > 1 else host)
    return named
