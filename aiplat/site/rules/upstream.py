"""Rules about the way to the projects' own releases; going it is aiplat.supply's."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from aiplat.site.certificates import fault_of_certificates
from aiplat.site.document import YamlDocument
from aiplat.site.findings import SiteFinding, shown
from aiplat.site.known import Known
from aiplat.site.rules.files import absolute

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def bad_mirror(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A mirror stands for the name of a host, and is an address without a password in it."""
    for host, mirror in _map(document, "mirrors").items():
        where = ("upstream", "mirrors", host)
        if not _HOST.fullmatch(str(host)):
            fix = "write it as docker.io or github.com"
            yield document.finding(where, f"{shown(host)} is not a host name", fix)
        elif isinstance(mirror, str) and (problem := _wrong_address(mirror)):
            yield document.finding(where, f"{shown(mirror)} {problem}", "write it as https://host/path")


def bad_proxy(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A proxy is an address without a password in it."""
    proxy = document.at("upstream", "proxy")
    if isinstance(proxy, str) and (problem := _wrong_address(proxy)):
        fix = "write it as http://host:3128, and its user under upstream.credentials"
        yield document.finding(("upstream", "proxy"), f"{shown(proxy)} {problem}", fix)


def unusable_ca(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A file with CA certificates that is named is there, and has certificates alone."""
    named = document.at("upstream", "ca")
    if isinstance(named, str) and (fault := fault_of_certificates(absolute(named, document.folder))):
        yield document.finding(("upstream", "ca"), *fault)


def bad_credential(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Credentials name a host, and either a variable or a service of the keyring that holds the secret."""
    for host, said in _map(document, "credentials").items():
        where = ("upstream", "credentials", host)
        if not _HOST.fullmatch(str(host)):
            yield document.finding(where, f"{shown(host)} is not a host name", "write it as ghcr.io")
        elif isinstance(said, dict) and bool(said.get("env")) == bool(said.get("keyring")):
            fix = "write `env: NAME_OF_A_VARIABLE` or `keyring: SERVICE`"
            yield document.finding(where, "does not say where its secret is kept, in one place", fix)
        elif isinstance(said, dict) and said.get("env") and not _VARIABLE.fullmatch(str(said["env"])):
            fix = "name a variable; the secret itself has no place here"
            yield document.finding((*where, "env"), "is not an environment variable's name", fix)


def _wrong_address(text: str) -> str:
    """Return what is wrong with an address, empty if nothing is."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "is not an address"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return "is not an address"
    return "has a user or password in it" if "@" in parts.netloc else ""


def _map(document: YamlDocument, key: str) -> dict[str, Any]:
    found = document.at("upstream", key)
    return found if isinstance(found, dict) else {}
