"""Readers of the lists of packages in an image: dpkg's, apk's, and Python's distributions."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from email.message import Message
from email.parser import Parser
from pathlib import PurePosixPath

from aiplat.bundle.contents.layers import LayerFile
from aiplat.bundle.contents.package import FoundPackage
from aiplat.bundle.contents.spdx import spdx_expression

_DPKG = re.compile(r"var/lib/dpkg/status(\.d/[^/]+)?")
_APK = re.compile(r"(usr/)?lib/apk/db/installed")
_PYTHON = re.compile(r".*\.(dist-info/METADATA|egg-info/PKG-INFO)")
_LONGEST_LICENCE = 100
Files = Mapping[str, LayerFile]


def packages_of(files: Files) -> list[FoundPackage]:
    """Return the packages that the files of an image name, in the order of their places."""
    system = _system(files)
    found: list[FoundPackage] = []
    for name, seen in sorted(files.items()):
        if _DPKG.fullmatch(name) and not name.endswith(".md5sums"):
            found += _dpkg(name, seen, system, files)
        elif _APK.fullmatch(name):
            found += _apk(name, seen, system)
        elif _PYTHON.fullmatch(name):
            found += _python(name, seen)
    return found


def _system(files: Files) -> str:
    """Return `debian-12` of /etc/os-release."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        if seen := files.get(name):
            words = dict(re.findall(r'(?m)^(ID|VERSION_ID)="?([^"\n]*)"?$', _decoded(seen)))
            return "-".join(words[key] for key in ("ID", "VERSION_ID") if words.get(key))
    return ""


def _decoded(seen: LayerFile) -> str:
    return seen.text.decode(errors="replace")


def _stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """Yield the fields of each stanza, without the lines that continue one."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*)$", stanza))
        if fields:
            yield fields


def _dpkg(place: str, seen: LayerFile, system: str, files: Files) -> Iterator[FoundPackage]:
    for fields in _stanzas(_decoded(seen)):
        name, version = fields.get("Package"), fields.get("Version")
        if not name or not version or not fields.get("Status", "ok installed").endswith("ok installed"):
            continue
        source, _, rest = fields.get("Source", name).partition(" ")
        yield FoundPackage(
            kind="deb",
            name=name,
            version=version,
            place=place,
            layer=seen.layer,
            arch=fields.get("Architecture", ""),
            system=system,
            source=source,
            source_version=rest.strip("()") or version,
            licences=_copyright(name, files),
        )


def _copyright(package: str, files: Files) -> tuple[str, ...]:
    """Return the short names of the licences in a package's copyright file, if it is machine-readable."""
    folder, hops = package, 0
    while (link := files.get(f"usr/share/doc/{folder}")) and link.target and hops < 5:
        folder, hops = PurePosixPath(link.target).name, hops + 1
    seen = files.get(f"usr/share/doc/{folder}/copyright")
    return debian_licences(_decoded(seen)) if seen else ()


def debian_licences(text: str) -> tuple[str, ...]:
    """Return the licences of a Debian copyright file; of one in prose those whose text it points to."""
    if re.match(r"\s*Format(-Specification)?:", text):
        named = re.findall(r"(?m)^License:[ \t]*(\S.*)$", text)
    else:
        pointed = re.findall(r"/usr/share/common-licenses/([A-Za-z]+(?:-[0-9.]*[0-9])?)", text)
        named = [f"{one} (named in prose)" for one in pointed]
    return tuple(sorted({one.strip()[:_LONGEST_LICENCE] for one in named}))


def _apk(place: str, seen: LayerFile, system: str) -> Iterator[FoundPackage]:
    for stanza in _decoded(seen).split("\n\n"):
        fields = dict(line.split(":", 1) for line in stanza.splitlines() if line[1:2] == ":")
        if fields.get("P") and fields.get("V"):
            yield FoundPackage(
                kind="apk",
                name=fields["P"],
                version=fields["V"],
                place=place,
                layer=seen.layer,
                arch=fields.get("A", ""),
                system=system,
                source=fields.get("o", fields["P"]),
                source_version=fields["V"],
                licences=(fields["L"],) if fields.get("L") else (),
            )


def _python(place: str, seen: LayerFile) -> Iterator[FoundPackage]:
    head = Parser().parsestr(_decoded(seen), headersonly=True)
    name, version = head.get("Name"), head.get("Version")
    if name and version:
        plain = re.sub(r"[-_.]+", "-", str(name)).lower()
        yield FoundPackage("pypi", plain, str(version), place, seen.layer, licences=_python_licences(head))


def _python_licences(head: Message) -> tuple[str, ...]:
    """Return what a distribution says of its licence: an SPDX expression, else classifiers, else words."""
    if expression := head.get("License-Expression"):
        return (str(expression),)
    words = " ".join(str(head.get("License") or "").split())
    short = words if 0 < len(words) <= _LONGEST_LICENCE else ""
    if spdx_expression(short):
        return (short,)
    classifiers = (str(one) for one in head.get_all("Classifier", []))
    named = {one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")}
    return tuple(sorted(named - {"OSI Approved"})) or ((short,) if short else ())


def owned_by_packages(files: Files) -> set[str]:
    """Return the paths that a package lists as its own, as `plain_path` writes them."""
    owned: set[str] = set()
    for name, seen in files.items():
        if name.startswith("var/lib/dpkg/info/"):
            owned.update(map(plain_path, _decoded(seen).splitlines()))
        elif name.endswith(".md5sums"):
            owned.update(plain_path(line.partition("  ")[2]) for line in _decoded(seen).splitlines())
        elif _APK.fullmatch(name):
            owned.update(_apk_paths(_decoded(seen)))
        elif name.endswith(".dist-info/RECORD"):
            root = PurePosixPath(name).parent.parent
            rows = csv.reader(_decoded(seen).splitlines())
            owned.update(plain_path(str(root / row[0])) for row in rows if row)
    return owned


def _apk_paths(text: str) -> Iterator[str]:
    folder = ""
    for line in text.splitlines():
        if line.startswith("F:"):
            folder = line[2:]
        elif line.startswith("R:"):
            yield plain_path(f"{folder}/{line[2:]}")


def plain_path(path: str) -> str:
    """Return a path without its root; /bin and /lib are where a merged /usr has them."""
    plain = str(PurePosixPath("/", path)).strip("/")
    first = plain.partition("/")[0]
    return f"usr/{plain}" if first in {"bin", "sbin", "lib", "lib64"} else plain
