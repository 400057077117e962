"""Reads repositories of rpm's form: repomd.xml, the package list and the groups it names; solves nothing."""

from __future__ import annotations

import gzip
import lzma
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from aiplat.catalog.os_recipes import Repository
from aiplat.errors import AiplatError, Finding
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.ospackages.signatures import UNSIGNED, Keyring, keyring_of, signer
from aiplat.supply.upstream.sentences import plain

_NS = {"repo": "http://linux.duke.edu/metadata/repo"}
_GROUPS = ("group_gz", "group_xz", "group")


@dataclass(frozen=True)
class RpmIndex:
    """A repository's package list as libsolv reads it, its groups of packages, and what vouches for them."""

    base: str
    primary: Path
    groups: dict[str, tuple[str, ...]]
    signed: str


@dataclass(frozen=True)
class _Listed:
    """A file that repomd.xml names."""

    name: str
    digest: str
    size: int | None


def rpm_index(repository: Repository, http: HttpClient, folder: Path) -> RpmIndex:
    """Return what a repository has, compared with its checksums and signature.

    Raises:
        AiplatError: it cannot be had, or is not signed as it must be.
    """
    base = str(repository.rpm).rstrip("/")
    where = f"{base}/repodata/repomd.xml"
    keyring = keyring_of(repository, http, folder)
    file = folder / "repomd.xml"
    file.write_bytes(http.get(where).body)
    signed = _signed(where, file, keyring, http, repository)
    listed = _listed(file.read_bytes(), where)
    if "primary" not in listed:
        raise AiplatError(Finding(plain(where), "names no list of packages", "see whether it is complete"))
    # Plain, for libsolv may have been built without what unpacks it.
    primary = folder / "primary.xml"
    primary.write_bytes(_unpacked(_fetched(base, listed["primary"], http, folder)))
    kind = next((name for name in _GROUPS if name in listed), "")
    groups = _groups(_fetched(base, listed[kind], http, folder)) if kind else {}
    return RpmIndex(base, primary, groups, signed)


def _signed(where: str, file: Path, keyring: Keyring | None, http: HttpClient, repository: Repository) -> str:
    if keyring is None:
        return UNSIGNED
    answer = http.get(f"{where}.asc", allow={404})
    if answer.status == 404 and repository.may_lack_signature and where.startswith("https:"):
        return UNSIGNED
    if answer.status == 404:
        raise AiplatError(Finding(plain(where), "is not signed", "use a mirror that keeps the signatures"))
    signature = file.with_name("repomd.xml.asc")
    signature.write_bytes(answer.body)
    return f"{signer(file, signature, keyring, plain(where))} ({keyring.title})"


def _listed(text: bytes, where: str) -> dict[str, _Listed]:
    found = {}
    for data in _parsed(text, where).iterfind("repo:data", _NS):
        checksum, location = data.find("repo:checksum", _NS), data.find("repo:location", _NS)
        size = data.findtext("repo:size", None, _NS)
        if checksum is None or location is None:
            continue
        if checksum.get("type") != "sha256":
            problem = f"has checksums of the kind {checksum.get('type')}; this version compares sha256"
            raise AiplatError(Finding(plain(where), problem, "use another mirror of the repository"))
        digest = f"sha256:{(checksum.text or '').strip()}"
        found[data.get("type", "")] = _Listed(location.get("href", ""), digest, int(size) if size else None)
    return found


def _fetched(base: str, listed: _Listed, http: HttpClient, folder: Path) -> Path:
    target = folder / listed.name.rpartition("/")[2]
    http.download(f"{base}/{listed.name}", target, digest=listed.digest, size=listed.size)
    return target


def _groups(file: Path) -> dict[str, tuple[str, ...]]:
    """Return the packages that each group installs by itself."""
    found = {}
    for group in _parsed(_unpacked(file), file.name).iterfind("group"):
        listed = group.iterfind("packagelist/packagereq")
        names = [one.text or "" for one in listed if one.get("type") in ("mandatory", "default")]
        found[group.findtext("id", "")] = tuple(names)
    return found


def _unpacked(file: Path) -> bytes:
    """Return what a file has, unpacked by what its name says.

    Raises:
        AiplatError: there is nothing here that unpacks it, or it is damaged.
    """
    try:
        if file.suffix == ".gz":
            return gzip.decompress(file.read_bytes())
        if file.suffix == ".xz":
            return lzma.decompress(file.read_bytes())
        if file.suffix == ".zst":
            return subprocess.run(["zstd", "-dcq", file], capture_output=True, check=True).stdout
    except FileNotFoundError:
        problem = "is packed with zstd, which is not on this machine"
        raise AiplatError(Finding(file.name, problem, "install zstd")) from None
    except (EOFError, OSError, lzma.LZMAError, subprocess.CalledProcessError):
        raise AiplatError(Finding(file.name, "cannot be unpacked", "try another mirror")) from None
    return file.read_bytes()


def _parsed(text: bytes, where: str) -> ET.Element:
    try:
        return ET.fromstring(text)  # noqa: S314 - expat bounds what entities grow to
    except ET.ParseError as error:
        raise AiplatError(
            Finding(plain(where), f"is not XML: {error}", "see whether the address is right")
        ) from None
