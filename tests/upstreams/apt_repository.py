"""A repository of apt's form: real packages made by dpkg-deb, in indexes as Debian's archive writes them."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from tests.upstreams.signing import Signer


@dataclass(frozen=True)
class Deb:
    """What a package's control file says; `fields` is everything else, such as Depends."""

    name: str
    version: str = "1.0-1"
    arch: str = "amd64"
    priority: str = "optional"
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def control(self) -> str:
        """The control file."""
        head = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.arch,
            "Priority": self.priority,
            "Maintainer": "Nobody <nobody@example.org>",
            "Description": "made for a test",
        }
        return "".join(f"{name}: {value}\n" for name, value in (head | self.fields).items())

    def build(self, folder: Path) -> bytes:
        """Return the package file, made by dpkg-deb."""
        tree = folder / f"{self.name}-{self.version}-{self.arch}".replace(":", "_")
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(self.control)
        (tree / "usr/share/made").mkdir(parents=True)
        (tree / "usr/share/made" / self.name).write_text(f"{self.version}\n")
        target = tree.with_suffix(".deb")
        argv = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, target]
        # The same package is the same file whenever it is made.
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
        subprocess.run(argv, env=environment, check=True, capture_output=True)
        return target.read_bytes()


@dataclass
class AptRepository:
    """Files of an archive by their path; `add` puts packages in, `publish` writes a suite's indexes."""

    folder: Path
    signer: Signer | None
    base: str = "/debian"
    files: dict[str, bytes | Path] = field(default_factory=dict)
    _listed: list[tuple[Deb, str, bytes]] = field(default_factory=list)

    def add(self, *debs: Deb) -> None:
        """Make packages and put them into the pool."""
        for deb in debs:
            content = deb.build(self.folder)
            name = f"pool/{deb.name}_{deb.version.rpartition(':')[2]}_{deb.arch}.deb"
            self.files[f"{self.base}/{name}"] = content
            self._listed.append((deb, name, content))

    def publish(
        self,
        suite: str,
        arches: Sequence[str] = ("amd64", "arm64"),
        *,
        valid: timedelta | None = None,
        codename: str | None = None,
        date: datetime | None = None,
    ) -> None:
        """Write Release, its signatures and the package lists of a suite with one component, `main`."""
        top = f"{self.base}/dists/{suite}"
        sums = []
        for arch in arches:
            text = self._packages(arch).encode()
            for ending, data in (("", text), (".xz", lzma.compress(text)), (".gz", gzip.compress(text))):
                name = f"main/binary-{arch}/Packages{ending}"
                self.files[f"{top}/{name}"] = data
                digest = hashlib.sha256(data).hexdigest()
                self.files[f"{top}/main/binary-{arch}/by-hash/SHA256/{digest}"] = data
                sums.append(f" {digest} {len(data)} {name}")
        now = date or datetime.now(UTC)
        fields = {
            "Origin": "Test",
            "Suite": "stable",
            "Codename": codename or suite,
            "Date": format_datetime(now),
            **({"Valid-Until": format_datetime(now + valid)} if valid else {}),
            "Acquire-By-Hash": "yes",
            "Architectures": " ".join(arches),
            "Components": "main",
            "SHA256": "\n" + "\n".join(sums),
        }
        release = "".join(f"{name}: {value}\n" for name, value in fields.items()).encode()
        self.files[f"{top}/Release"] = release
        if self.signer:
            self.files[f"{top}/InRelease"] = self.signer.clear(release)
            self.files[f"{top}/Release.gpg"] = self.signer.detached(release)

    def _packages(self, arch: str) -> str:
        paragraphs = []
        for deb, name, content in self._listed:
            if deb.arch in (arch, "all"):
                digest = hashlib.sha256(content).hexdigest()
                where = f"Filename: {name}\nSize: {len(content)}\nSHA256: {digest}\n"
                paragraphs.append(deb.control + where)
        return "\n".join(paragraphs)
