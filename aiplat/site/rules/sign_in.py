"""Rules about the company's own sign-in; asking it is not done here."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from aiplat.site.certificates import fault_of_certificates
from aiplat.site.document import YamlDocument
from aiplat.site.findings import SiteFinding, shown
from aiplat.site.known import Known
from aiplat.site.rules.files import absolute


def bad_issuer(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """An issuer is an https address without user, query or fragment (OpenID Connect Discovery 1.0, 3)."""
    issuer = document.at("signIn", "issuer")
    if isinstance(issuer, str) and not _is_issuer(issuer):
        fix = "write it as the provider's discovery document has it: https://host/path"
        yield document.finding(("signIn", "issuer"), f"{shown(issuer)} is not an issuer's address", fix)


def unusable_ca_of_issuer(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A file with CA certificates that is named is there, and has certificates alone."""
    named = document.at("signIn", "ca")
    if isinstance(named, str) and (fault := fault_of_certificates(absolute(named, document.folder))):
        yield document.finding(("signIn", "ca"), *fault)


def bad_proxy_of_issuer(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A proxy is http://host:port or https://host:port."""
    proxy = document.at("signIn", "proxy")
    if isinstance(proxy, str) and not _is_proxy(proxy):
        yield document.finding(
            ("signIn", "proxy"), f"{shown(proxy)} is not a proxy's address", "write http://HOST:PORT"
        )


def nobody_administers(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Some group of the provider's has admins in it."""
    groups = document.at("signIn", "groups")
    if isinstance(groups, dict) and not groups.get("admin"):
        fix = "name a group of the provider's under signIn.groups.admin"
        yield document.finding(("signIn", "groups"), "nobody could administer the site", fix)


def bad_group(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A group's name has no comma: who may enter a page is asked as a list with commas between."""
    groups = document.at("signIn", "groups")
    for role, names in groups.items() if isinstance(groups, dict) else ():
        for index, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str) and ("," in name or not name.isprintable() or not name.strip()):
                where = ("signIn", "groups", role, index)
                fix = "give the group another name at the provider, or use its id"
                yield document.finding(where, f"{shown(name)} cannot be asked for", fix)


def _is_issuer(address: str) -> bool:
    return _is_plain(address, "https")


def _is_proxy(address: str) -> bool:
    return _is_plain(address, "http", "https") and not urlsplit(address).path.strip("/")


def _is_plain(address: str, *schemes: str) -> bool:
    """Whether an address has a host, and neither user nor query nor fragment."""
    try:
        parts = urlsplit(address)
        named = bool(parts.hostname) and (parts.port or 443) > 0
    except ValueError:
        return False
    return named and parts.scheme in schemes and not (parts.query or parts.fragment or "@" in parts.netloc)
