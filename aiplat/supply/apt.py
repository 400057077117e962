"""Fetches Debian packages of any release with apt, beside the machine's own state; installs none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiplat.errors import AiplatError, Finding
from aiplat.supply.process import run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_POCKETS = ("", "-updates", "-security")
# What the machine says about reaching its mirror (proxies, certificates, frozen mirrors) holds for us too.
_CARRIED = re.compile(r'^(Acquire::(?:https?|Check-\S+|Retries|ForceIPv\d)\S*) "(.*)";$')


@dataclass(frozen=True)
class Deb:
    """A package file as apt fetched it; apt has compared it with the release's signed index."""

    name: str
    version: str
    path: Path


class Apt:
    """One Debian release, with lists and caches in `folder`."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite = suite
        self.folder = folder
        for relative in ("lists/partial", "cache/archives/partial"):
            (folder / relative).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        self.sources_list = folder / "sources.list"

    def update(self) -> None:
        """Fetch the release's signed index.

        Raises:
            AiplatError: no mirror is configured, or it cannot be reached.
        """
        self.sources_list.write_text(sources(self.suite))
        self._apt("apt-get", "-q", "update", "--error-on=any", what=f"Debian {self.suite}: package index")

    def download(self, packages: Iterable[str], into: Path) -> list[Deb]:
        """Fetch these packages, without what they depend on.

        Raises:
            AiplatError: the release does not have one of them.
        """
        into.mkdir(parents=True, exist_ok=True)
        names = list(packages)
        what = f"Debian {self.suite}: {', '.join(names)}"
        self._apt("apt-get", "-q", "download", *names, what=what, cwd=into)
        return [_described(path) for path in sorted(into.glob("*.deb"))]

    def download_with_dependencies(self, packages: Iterable[str], into: Path, status: Path) -> list[Deb]:
        """Fetch these packages and what they need beyond the packages that `status` (dpkg's file) lists.

        Raises:
            AiplatError: they cannot be had together.
        """
        (into / "partial").mkdir(parents=True, exist_ok=True)
        names = list(packages)
        options = ["-o", f"Dir::State::status={status}", "-o", f"Dir::Cache::archives={into}/"]
        what = f"Debian {self.suite}: {', '.join(names)}"
        self._apt("apt-get", "-q", "-y", "--download-only", *options, "install", *names, what=what)
        (into / "partial").rmdir()
        (into / "lock").unlink(missing_ok=True)
        return [_described(path) for path in sorted(into.glob("*.deb"))]

    def version(self, package: str) -> str:
        """Return the version the release has of a package.

        Raises:
            AiplatError: it has none.
        """
        lines = self._apt(
            "apt-cache", "show", "--no-all-versions", package, what=f"Debian {self.suite}: {package}"
        )
        return next(line.removeprefix("Version: ") for line in lines if line.startswith("Version: "))

    def newest(self, packages: Collection[str]) -> dict[str, str]:
        """Return the version of each package that a download would bring; what is not there is left out.

        Raises:
            AiplatError: apt does not answer.
        """
        what = f"Debian {self.suite}: newest versions"
        found, name = {}, ""
        for line in self._apt("apt-cache", "policy", *packages, what=what) if packages else ():
            if not line.startswith(" "):
                name = line.removesuffix(":")
            elif line.startswith("  Candidate: ") and not line.endswith("(none)"):
                found[name] = line.removeprefix("  Candidate: ")
        return found

    def _apt(self, tool: str, *arguments: str, what: str, cwd: Path | None = None) -> list[str]:
        return run([tool, *self._options(), *arguments], what=what, cwd=cwd, env={"LC_ALL": "C"})

    def _options(self) -> list[str]:
        settings = {
            "Dir::Etc::sourcelist": self.sources_list,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def sources(suite: str) -> str:
    """Return a sources.list for a Debian release, from the mirrors this machine itself uses.

    Raises:
        AiplatError: this machine's apt knows no Debian mirror.
    """
    text = "\n".join(run(["apt-get", "indextargets", "Created-By: Packages"], what="apt"))
    mirrors = mirrors_in(text, _os_release().get("VERSION_CODENAME", ""))
    if not mirrors:
        raise AiplatError(
            Finding("apt", "this machine has no Debian mirror configured", "add one to /etc/apt/sources.list")
        )
    signed = f"[signed-by={KEYRING}]"
    return "".join(f"deb {signed} {uri} {suite}{pocket} main\n" for pocket, uri in mirrors)


def carried_options() -> dict[str, str]:
    """Return the machine's own apt settings that say how its mirror is reached."""
    lines = run(["apt-config", "dump"], what="apt")
    matches = (_CARRIED.match(line) for line in lines)
    return {m[1]: m[2] for m in matches if m and not m[1].endswith("::")}


def mirrors_in(index_targets: str, codename: str) -> list[tuple[str, str]]:
    """Return (pocket, URI) of Debian's own archives among what `apt-get indextargets` says, each once.

    A pocket is what follows the release's name, such as `-security`.
    """
    found: dict[tuple[str, str], None] = {}
    for paragraph in index_targets.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line)
        release = fields.get("Release", "")
        pocket = release.removeprefix(codename)
        # Before the first `apt-get update` apt does not know the origin.
        ours = fields.get("Component") == "main" and fields.get("Origin", "Debian") == "Debian"
        if ours and codename and release.startswith(codename) and pocket in _POCKETS:
            found[(pocket, fields["Repo-URI"])] = None
    return list(found)


def _os_release() -> dict[str, str]:
    pairs = (line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def _described(path: Path) -> Deb:
    fields = run(["dpkg-deb", "--field", path, "Package", "Version"], what=path.name)
    values = dict(line.split(": ", 1) for line in fields)
    return Deb(values["Package"], values["Version"], path)


def unpack(debs: Sequence[Deb], into: Path) -> None:
    """Lay the files of packages out below `into`; no maintainer script runs."""
    into.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        run(["dpkg-deb", "--extract", deb.path, into], what=deb.path.name)
