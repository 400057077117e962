"""Checks a configuration and a registries file by k3s' own rules, which it often keeps in silence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from ipaddress import ip_address, ip_network
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from aiplat.errors import Finding
from aiplat.k3s.release import K3sRelease

Command = Literal["server", "agent"]
CONFIG = "config.yaml"
REGISTRIES = "registries.yaml"
# Keys of k3s' registries file; one that is misspelt is ignored without a word.
_MIRROR_KEYS = {"endpoint", "rewrite"}
_AUTH_KEYS = {"username", "password", "auth", "identity_token"}
_TLS_KEYS = {"ca_file", "cert_file", "key_file", "insecure_skip_verify"}
_NETWORKS = {"cluster-cidr", "service-cidr"}
_OF_ONE_FAMILY = ("cluster-cidr", "service-cidr", "node-ip")
_ADDRESSES = {"node-ip", "node-external-ip", "cluster-dns"}


class Key(NamedTuple):
    """One configuration key; `since` is empty where every release knows it."""

    name: str
    type: str
    command: str
    since: str
    split: bool
    critical: bool
    values: tuple[str, ...]


@cache
def keys() -> Mapping[str, Key]:
    """Return every key by its name."""
    lines = files(__package__).joinpath("keys.tsv").read_text().splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {row[0]: _key(row) for row in rows}


def _key(row: list[str]) -> Key:
    name, kind, command, since, split, critical, values = ("" if field == "-" else field for field in row)
    found = tuple(values.split(",")) if values else ()
    return Key(name, kind, command, since, bool(split), bool(critical), found)


def critical_keys() -> frozenset[str]:
    """Return the keys that stay as they are for the life of a cluster."""
    return frozenset(key.name for key in keys().values() if key.critical)


def config_findings(command: Command, release: K3sRelease, config: Mapping[str, Any]) -> list[Finding]:
    """Return everything that is wrong with a configuration; empty when k3s takes it as it is meant."""
    known = _known(command)
    values = (f for name, value in config.items() if name in known for f in _of_value(known[name], value))
    return [*key_findings(command, release, config), *values, *_families(config)]


def _families(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the keys of other address families than the first of them has, with which k3s does not start."""
    found = {name: _versions(config[name]) for name in _OF_ONE_FAMILY if config.get(name)}
    first = next(iter(found), "")
    for name, versions in found.items():
        if versions and found[first] and versions != found[first]:
            problem = f"is {_said(versions)}, and {first} is {_said(found[first])}"
            yield Finding(f"{CONFIG}: {name}", problem, "use the same address families in the same order")


def _versions(value: Any) -> tuple[int, ...]:
    """Return the family of each item; none where one is not an address, which is told elsewhere."""
    items = [
        part
        for item in (value if isinstance(value, list | tuple) else [value])
        for part in str(item).split(",")
    ]
    try:
        return tuple(ip_network(item.strip(), strict=False).version for item in items)
    except ValueError:
        return ()


def _said(versions: Iterable[int]) -> str:
    return " and ".join(f"IPv{version}" for version in versions)


def key_findings(command: Command, release: K3sRelease, names: Iterable[str]) -> list[Finding]:
    """Return the keys that a command of this release does not know: an agent fails at one."""
    known = _known(command)
    return [f for name in names for f in _of_name(known, command, release, name)]


def _known(command: Command) -> Mapping[str, Key]:
    return {k.name: k for k in keys().values() if k.command in {command, "both"}}


def _of_name(known: Mapping[str, Key], command: Command, release: K3sRelease, name: str) -> Iterator[Finding]:
    where = f"{CONFIG}: {name}"
    key = known.get(name)
    if key is None:
        what = "fails at" if command == "agent" else "passes over"
        near = difflib.get_close_matches(name, known, n=1)
        fix = f"did you mean {near[0]}?" if near else "leave it out"
        yield Finding(where, f"is not a key of k3s {command}, which {what} it", fix)
    elif key.since and not release.known_since(key.since):
        yield Finding(where, f"is known from {key.since} on, and this is {release}", "leave it out")


def _of_value(key: Key, value: Any) -> Iterator[Finding]:
    where = f"{CONFIG}: {key.name}"
    if problem := _type_problem(key, value):
        yield Finding(where, problem, f"write it as {key.type}")
        return
    for item in _items(key, value):
        if problem := _value_problem(key, item):
            yield Finding(where, problem, f"one of {', '.join(key.values)}" if key.values else "")


def _type_problem(key: Key, value: Any) -> str:
    """Say what is wrong with the type; k3s turns every value into text, and a null into none at all."""
    if value is None:
        return "is empty, which k3s takes for an empty text"
    if key.type == "list":
        good = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return "" if good or isinstance(value, str) else f"is {type(value).__name__} and not a list of texts"
    wanted = {"bool": bool, "int": int, "string": str, "duration": str}[key.type]
    right = isinstance(value, wanted) and (key.type == "bool" or not isinstance(value, bool))
    return "" if right else f"is {type(value).__name__} and not {key.type}"


def _items(key: Key, value: Any) -> list[Any]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not key.split:
        return items
    return [part.strip() for item in items for part in str(item).split(",")]


def _value_problem(key: Key, item: Any) -> str:
    if key.values and str(item) not in key.values:
        return f"{item!r} is none of its values"
    if key.type == "list" and not str(item).strip():
        return "has an empty item"
    if key.name.endswith("-arg") and "=" not in str(item):
        return f"{item!r} is not a name=value"
    try:
        if key.name in _NETWORKS:
            ip_network(item)
        elif key.name in _ADDRESSES:
            ip_address(item)
    except ValueError as error:
        return str(error)
    if key.name == "server" and (urlsplit(str(item)).scheme != "https" or not urlsplit(str(item)).port):
        return f"{item!r} is not an https://HOST:PORT"
    return ""


def registries_findings(document: Mapping[str, Any]) -> list[Finding]:
    """Return everything that is wrong with a registries file; k3s says nothing of any of it."""
    return [
        *_unknown(REGISTRIES, document, {"mirrors", "configs"}),
        *(f for host, entry in _maps(document, "mirrors") for f in _mirror(host, entry)),
        *(f for host, entry in _maps(document, "configs") for f in _access(host, entry)),
        *_unused(document),
    ]


def _maps(document: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    entries = document.get(name) or {}
    return [(host, entry) for host, entry in entries.items() if isinstance(entry, Mapping)]


def _unknown(where: str, entry: Mapping[str, Any], known: set[str]) -> Iterator[Finding]:
    for name in entry:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            fix = f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(known))}"
            yield Finding(f"{where}: {name}", "is not a key, and k3s ignores it in silence", fix)


def _mirror(host: str, entry: Mapping[str, Any]) -> Iterator[Finding]:
    where = f"{REGISTRIES}: mirrors.{host}"
    yield from _unknown(where, entry, _MIRROR_KEYS)
    for endpoint in entry.get("endpoint") or ():
        url = urlsplit(str(endpoint))
        if url.scheme not in {"http", "https"} or not url.hostname:
            yield Finding(where, f"{endpoint!r} is not a URL", "write it like https://HOST:PORT")


def _access(host: str, entry: Mapping[str, Any]) -> Iterator[Finding]:
    where = f"{REGISTRIES}: configs.{host}"
    yield from _unknown(where, entry, {"auth", "tls"})
    yield from _unknown(f"{where}.auth", entry.get("auth") or {}, _AUTH_KEYS)
    yield from _unknown(f"{where}.tls", entry.get("tls") or {}, _TLS_KEYS)


def _unused(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield access that is for no endpoint: its host is written in another way than the endpoint's."""
    endpoints = {
        urlsplit(str(e)).netloc for _, m in _maps(document, "mirrors") for e in m.get("endpoint") or ()
    }
    for host, _ in _maps(document, "configs"):
        if endpoints and host not in endpoints:
            problem = f"is for no endpoint; those are {', '.join(sorted(endpoints))}"
            yield Finding(f"{REGISTRIES}: configs.{host}", problem, "write host and port as in the endpoint")
