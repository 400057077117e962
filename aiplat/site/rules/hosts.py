"""Rules about hosts: names, addresses, roles, data folders, how to reach them; networks are in .networks."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

import re
from collections.abc import Iterator

from aiplat.site.addresses import Address, as_ip, canonical, is_dns_name, listed
from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, shown
from aiplat.site.known import Known

MAX_SERVERS = 7
_DATA_DIR = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)+")
DATA_DIR_LENGTH = 60
SYSTEM_FOLDERS = ("/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var")
FLEETING = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run", "/var/lock", "/var/tmp")  # noqa: S108
PROGRAMS = ("/bin", "/boot", "/etc", "/lib", "/lib64", "/sbin", "/usr")
TAKEN = ("/var/lib/aiplat", "/var/lib/cni", "/var/lib/kubelet", "/var/lib/rancher", "/var/log")
# The kernel's limit, less the terminating zero, and what it refuses in the name of a network card.
_INTERFACE = re.compile(r"(?!\.{1,2}$)[^\s/:]{1,15}")
# What ssh's configuration may call a host; ssh takes a leading dash for an option.
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
# Words with a meaning of their own in an Ansible inventory.
RESERVED_NAMES = ("all", "ungrouped", "localhost")
_JUMP = re.compile(r"([^@\s,]+@)?(\[(?P<ipv6>[^\]]+)\]|(?P<host>[^@:\s,]+))(:(?P<port>[0-9]{1,5}))?")
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")


def no_server(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A site has at least one host with `role: server`."""
    if document.at("hosts") == [] and not document.at("cluster", "existing"):
        yield document.finding(("hosts",), "there is no host", "add one with `role: server`")
    elif _servers(document) == 0:
        yield document.finding(("hosts",), "no host is a server", "give one of them `role: server`")


def even_servers(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """The number of servers is odd, because a majority of them must agree on every write."""
    count = _servers(document)
    if count and count % 2 == 0 and count <= MAX_SERVERS:
        problem = f"{count} servers survive no more failures than {count - 1}"
        yield document.finding(("hosts",), problem, f"use {count - 1} or {count + 1}")


def too_many_servers(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A site has at most seven servers: more make every write slower and survive no likelier failure."""
    count = _servers(document)
    if count and count > MAX_SERVERS:
        problem = f"{count} servers are more than {MAX_SERVERS}"
        yield document.finding(("hosts",), problem, "make the others agents")


def duplicate_host_name(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """No two hosts have the same name."""
    seen: dict[str, Path] = {}
    for path, host in document.maps("hosts"):
        name = host.get("name")
        if isinstance(name, str) and seen.setdefault(name, path) != path:
            first = document.places[seen[name]][0]
            problem = f"{shown(name)} is already the host of line {first}"
            yield document.finding((*path, "name"), problem, "give each host a name of its own")


def duplicate_host_address(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """No two hosts have the same address or node address, however it is written."""
    seen: dict[str, Path] = {}
    for path, address in _addresses(document):
        first = seen.setdefault(canonical(address), path)
        if first[:-1] != path[:-1]:
            other = document.at(*first[:-1], "name")
            problem = f"{shown(address)} is already the address of {shown(other)}"
            yield document.finding(path, problem, "give each host an address of its own")


def bad_host_address(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A host's address is an IP address, a DNS name or (with nodeAddress) a name of ~/.ssh/config, alone."""
    for path, host in document.maps("hosts"):
        address = host.get("address")
        if not isinstance(address, str) or (host.get("nodeAddress") and _is_alias(address)):
            continue
        if as_ip(address) is None and not is_dns_name(address):
            fix = "leave out user, port and scheme" if re.search(r"[@/]|:\d+$", address) else ""
            problem = f"{shown(address)} is neither an IP address nor a DNS name"
            yield document.finding(
                (*path, "address"), problem, fix or "write it like 10.0.0.11 or s1.example.org"
            )


def bad_node_address(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A host's node address is an IP address: Kubernetes joins nodes by address, never by name."""
    for path, host in document.maps("hosts"):
        text = host.get("nodeAddress")
        for address in listed(text) if isinstance(text, str) else ():
            if as_ip(address) is None:
                problem = f"{shown(address)} is not an IP address"
                fix = "write the address that the other hosts reach it by, like 10.0.0.11"
                yield document.finding((*path, "nodeAddress"), problem, fix)


def bad_interface(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A host's interface is the name of one network card as `ip link` shows it."""
    for path, host in document.maps("hosts"):
        name = host.get("interface")
        if isinstance(name, str) and not _INTERFACE.fullmatch(name):
            problem = f"{shown(name)} is not the name of a network interface"
            yield document.finding((*path, "interface"), problem, "write it as `ip link` shows it, like eth1")


def bad_data_dir(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A host's data folder is a plain absolute path that a restart keeps, and none of the system's own."""
    for path, host in document.maps("hosts"):
        folder = host.get("dataDir")
        reason = _no_data_dir(folder) if isinstance(folder, str) else ""
        if reason:
            fix = "write a folder of its own on the disk meant, like /data/aiplat"
            yield document.finding((*path, "dataDir"), f"{shown(folder)} {reason}", fix)


def _no_data_dir(folder: str) -> str:
    """Return why a path is not a data folder, or nothing."""
    if not _DATA_DIR.fullmatch(folder):
        return "is not a plain absolute path (letters, digits, `.`, `_`, `-`; no `..`, no slash at the end)"
    if len(folder) > DATA_DIR_LENGTH:
        return f"is longer than the {DATA_DIR_LENGTH} characters that leave room for sockets below it"
    if folder in SYSTEM_FOLDERS:
        return "is the system's own"
    of_system = next((f for f in (*FLEETING, *PROGRAMS) if f"{folder}/".startswith(f"{f}/")), "")
    if of_system in FLEETING:
        return f"is below {of_system}, which a restart empties"
    if of_system:
        return f"is below {of_system}, where programs and settings are"
    taken = next((f for f in TAKEN if f"{folder}/".startswith(f"{f}/") or f.startswith(f"{folder}/")), "")
    return f"is or holds {taken}, which aiplat or Kubernetes uses as it is" if taken else ""


def unusable_host_address(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A host's address is one that others reach: not loopback, link-local, multicast or unspecified."""
    for path, address in _addresses(document):
        ip = as_ip(address)
        reason = _unusable(ip) if ip else ("a loopback" if canonical(address) == "localhost" else None)
        if reason:
            problem = f"{shown(address)} is {reason} address, which other hosts cannot reach"
            yield document.finding(path, problem, "use the address of the host's network card")


def reserved_host_name(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A host is not called all, ungrouped or localhost, which mean something else to Ansible."""
    for path, host in document.maps("hosts"):
        if host.get("name") in RESERVED_NAMES:
            yield document.finding((*path, "name"), f"{shown(host['name'])} is reserved", "use another name")


def bad_ssh_user(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """The ssh user is a login name."""
    for path, host in document.maps("hosts"):
        user = host["ssh"].get("user") if isinstance(host.get("ssh"), dict) else None
        if isinstance(user, str) and not _USER.fullmatch(user):
            problem = f"{shown(user)} is not a login name"
            yield document.finding((*path, "ssh", "user"), problem, "write e.g. root")


def bad_jump_host(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A jump host is user@host:port or a name of ~/.ssh/config; user and port may be left out."""
    for path, host in document.maps("hosts"):
        jumps = host["ssh"].get("jump") if isinstance(host.get("ssh"), dict) else None
        for index, jump in enumerate(jumps if isinstance(jumps, list) else ()):
            if isinstance(jump, str) and not _is_jump(jump):
                problem = f"{shown(jump)} is not a jump host"
                fix = "write it like ops@bastion.example.org:2222, each as an item of its own"
                yield document.finding((*path, "ssh", "jump", index), problem, fix)


def _servers(document: YamlDocument) -> int | None:
    """Return the number of servers, or None where a host's role cannot be told."""
    hosts = document.at("hosts")
    roles = [h.get("role") if isinstance(h, dict) else None for h in hosts] if isinstance(hosts, list) else []
    if not roles or any(role not in ("server", "agent") for role in roles):
        return None
    return roles.count("server")


def _addresses(document: YamlDocument) -> Iterator[tuple[Path, str]]:
    for path, host in document.maps("hosts"):
        if isinstance(host.get("address"), str):
            yield (*path, "address"), host["address"]
        if isinstance(host.get("nodeAddress"), str):
            yield from (((*path, "nodeAddress"), item) for item in listed(host["nodeAddress"]))


def _is_jump(text: str) -> bool:
    """Whether it is `user@host:port`, an IPv6 address in brackets."""
    parts = _JUMP.fullmatch(text)
    if parts is None or int(parts["port"] or 1) not in range(1, 65536):
        return False
    inside = parts["ipv6"]
    return (
        as_ip(inside) is not None if inside else _is_alias(parts["host"]) or as_ip(parts["host"]) is not None
    )


def _is_alias(address: str) -> bool:
    """Whether it may be a name of ssh's configuration; a mistyped IP address is none."""
    return bool(_ALIAS.fullmatch(address)) and not re.fullmatch(r"[0-9.]+", address)


def _unusable(ip: Address) -> str | None:
    kinds = (
        (ip.is_unspecified, "an unspecified"),
        (ip.is_loopback, "a loopback"),
        (ip.is_link_local, "a link-local"),
        (ip.is_multicast, "a multicast"),
        (str(ip) == "255.255.255.255", "a broadcast"),
    )
    return next((name for is_kind, name in kinds if is_kind), None)
