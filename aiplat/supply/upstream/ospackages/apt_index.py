"""Reads repositories of apt's form: signed Release files and the package lists they name; solves nothing."""

from __future__ import annotations

import gzip
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from aiplat.catalog.os_recipes import Repository
from aiplat.errors import AiplatError, Finding
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.ospackages.signatures import UNSIGNED, Keyring, keyring_of, signed_text, signer
from aiplat.supply.upstream.sentences import HttpFailed, plain

# A repository may be written a moment from now, by a clock that is a little ahead of ours.
_CLOCK_TOLERANCE = timedelta(hours=1)
_PACKED = (".xz", ".gz", "")


@dataclass(frozen=True)
class DebRecord:
    """What an index says of one package."""

    name: str
    version: str
    arch: str
    depends: str
    provides: str
    conflicts: str
    priority: str
    source: str
    digest: str
    size: int
    signed: str


@dataclass(frozen=True)
class AptRelease:
    """What a Release file says, and what vouches for it."""

    where: str
    fields: dict[str, str]
    files: dict[str, tuple[str, int]]
    signed: str


def deb_records(repository: Repository, arch: str, http: HttpClient, folder: Path) -> Iterator[DebRecord]:
    """Yield every package that a repository has for an architecture.

    Raises:
        AiplatError: an index cannot be had, is not signed as it must be, outdated, or not for that machine.
    """
    keyring = keyring_of(repository, http, folder)
    for suite in repository.suites:
        release = _release(str(repository.apt), suite, keyring, http, folder)
        _check(release, suite, arch)
        for component in repository.components or ("",):
            part = f"{component}/binary-{arch}/" if component else ""
            text = _packages(release, part, http, folder)
            yield from _records(text, str(repository.apt), arch, release.signed)


def _release(base: str, suite: str, keyring: Keyring | None, http: HttpClient, folder: Path) -> AptRelease:
    where = f"{base}/" if suite == "/" else f"{base}/dists/{suite}/"
    file = folder / "InRelease"
    inline = http.get(f"{where}InRelease", allow={404})
    if inline.status == 200 and keyring:
        file.write_bytes(inline.body)
        text, fingerprint = signed_text(file, keyring, plain(f"{where}InRelease"))
    else:
        file = folder / "Release"
        file.write_bytes(http.get(f"{where}Release").body)
        text, fingerprint = file.read_bytes(), ""
        if keyring:
            fingerprint = _detached(where, file, keyring, http)
    signed = f"{fingerprint} ({keyring.title})" if keyring else UNSIGNED
    fields = _fields(text.decode(errors="replace"))
    return AptRelease(where, fields, _files(fields.get("SHA256", "")), signed)


def _detached(where: str, file: Path, keyring: Keyring, http: HttpClient) -> str:
    answer = http.get(f"{where}Release.gpg", allow={404})
    if answer.status == 404:
        raise AiplatError(
            Finding(plain(f"{where}Release"), "is not signed", "use a mirror that keeps the signatures")
        )
    signature = file.with_name("Release.gpg")
    signature.write_bytes(answer.body)
    return signer(file, signature, keyring, plain(f"{where}Release"))


def _check(release: AptRelease, suite: str, arch: str) -> None:
    """See that a Release is in force, of the suite that was asked for, and for the architecture."""
    where, now = plain(release.where), datetime.now(UTC)
    until, since = _time(release.fields.get("Valid-Until")), _time(release.fields.get("Date"))
    if until and until < now:
        problem = f"its index was valid until {until:%Y-%m-%d %H:%M} UTC and is not renewed"
        raise AiplatError(Finding(where, problem, "use another mirror, or set this machine's clock right"))
    if since and since > now + _CLOCK_TOLERANCE:
        problem = f"its index was written on {since:%Y-%m-%d %H:%M} UTC, which is still to come"
        raise AiplatError(Finding(where, problem, "set this machine's clock right"))
    names = {release.fields.get("Suite"), release.fields.get("Codename")} - {None}
    # Security archives call their suites otherwise than their folders: bookworm-security, stable-security.
    if suite != "/" and names and not any(suite in (name, str(name).rpartition("/")[2]) for name in names):
        problem = f"is the index of {' or '.join(sorted(map(str, names)))}, not of {suite}"
        raise AiplatError(Finding(where, problem, "see the mirror: it gives another release"))
    known = release.fields.get("Architectures", "").split()
    if known and arch not in known:
        problem = f"has packages for {', '.join(known)}, none for {arch}"
        raise AiplatError(Finding(where, problem, "use a mirror that has them"))


def _packages(release: AptRelease, part: str, http: HttpClient, folder: Path) -> bytes:
    """Return a package list; its name in the Release decides what it must be."""
    for ending in _PACKED:
        name = f"{part}Packages{ending}"
        if name in release.files:
            digest, size = release.files[name]
            return _unpacked(_fetched(release, name, (digest, size), http, folder), ending)
    problem = f"names no {part}Packages"
    raise AiplatError(Finding(plain(release.where), problem, "see whether the mirror is complete"))


def _fetched(
    release: AptRelease, name: str, wanted: tuple[str, int], http: HttpClient, folder: Path
) -> bytes:
    digest, size = wanted
    # Asked for by its digest it cannot be another one that a mirror writes just now.
    by_hash = f"{name.rpartition('/')[0]}/by-hash/SHA256/{digest.removeprefix('sha256:')}".lstrip("/")
    names = [by_hash, name] if release.fields.get("Acquire-By-Hash") == "yes" else [name]
    target = folder / digest.removeprefix("sha256:")
    for index, one in enumerate(names):
        try:
            http.download(release.where + one, target, digest=digest, size=size)
        except HttpFailed as error:
            if error.status == 404 and index + 1 < len(names):
                continue
            raise
        break
    data = target.read_bytes()
    target.unlink()
    return data


def _unpacked(data: bytes, ending: str) -> bytes:
    return lzma.decompress(data) if ending == ".xz" else gzip.decompress(data) if ending == ".gz" else data


def _records(data: bytes, base: str, arch: str, signed: str) -> Iterator[DebRecord]:
    for paragraph in data.decode(errors="replace").split("\n\n"):
        fields = _fields(paragraph)
        if "Package" not in fields or fields.get("Architecture") not in (arch, "all"):
            continue
        yield DebRecord(
            name=fields["Package"],
            version=fields["Version"],
            arch=fields["Architecture"],
            depends=", ".join(fields[f] for f in ("Pre-Depends", "Depends") if f in fields),
            provides=fields.get("Provides", ""),
            conflicts=", ".join(fields[f] for f in ("Conflicts", "Breaks") if f in fields),
            priority="required" if fields.get("Essential") == "yes" else fields.get("Priority", ""),
            source=f"{base}/{fields['Filename'].removeprefix('./')}",
            digest=f"sha256:{fields['SHA256']}",
            size=int(fields["Size"]),
            signed=signed,
        )


def _fields(text: str) -> dict[str, str]:
    """Return the fields of one paragraph; lines that go on are kept as they are."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            found[name] = found.get(name, "") + "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            found[name] = value.strip()
    return found


def _files(block: str) -> dict[str, tuple[str, int]]:
    rows = (re.fullmatch(r"\s*([0-9a-f]{64})\s+(\d+)\s+(\S+)", line) for line in block.splitlines())
    return {row[3]: (f"sha256:{row[1]}", int(row[2])) for row in rows if row}


def _time(value: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC) if found else None
