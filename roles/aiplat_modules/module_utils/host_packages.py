"""The host's own package manager with files that are here, dpkg or rpm; no repository is ever asked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ansible.module_utils.aiplat_host import HostProblem, below, run

_REFUSED = re.compile(r"^\s*(E: .+|.+ : (Depends|PreDepends|Conflicts|Breaks): .+|.+ but .+)$")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}
_VERSION = re.compile(r"(?:(\d+):)?([\w.+~^]+)(?:-([\w.+~^]+))?")


class Dpkg:
    """Debian's packages, below `root` (other than / in tests only)."""

    ending = ".deb"

    def __init__(self, root: str = "/") -> None:
        self.state = str(below(root, "/var/lib/dpkg"))
        self.place = [f"--root={root}"] if root != "/" else []

    def installed(self) -> dict[str, str]:
        """Return the version of every installed package."""
        fields = (line.split() for line in self._listed("${db:Status-Abbrev} ${Package} ${Version}\\n"))
        return {f[1]: f[2] for f in fields if f[0] in ("ii", "hi") and len(f) == 3}

    def present(self) -> set[str]:
        """Return the names of packages of which anything is there, configuration files included."""
        lines = self._listed("${db:Status-Abbrev} ${Package}\\n")
        return {line.split()[-1] for line in lines if not line.startswith("un")}

    def _listed(self, form: str) -> list[str]:
        return run(["dpkg-query", f"--admindir={self.state}", "-W", "-f", form]).splitlines()

    def is_older(self, version: str, wanted: str) -> bool:
        """Say whether an installed version is older than the wanted one."""
        argv = ["dpkg", "--compare-versions", version, "lt", wanted]
        return subprocess.run(argv, check=False).returncode == 0

    def ready(self) -> None:
        """Finish what an interrupted run left half-configured."""
        run(["dpkg", *self.place, "--configure", "-a", "--force-confold"], more=_QUIET)

    def refusal(self, files: list[str]) -> str:
        """Return why these files cannot be installed together here; empty where they can. Changes nothing."""
        if not shutil.which("apt-get"):
            return ""  # dpkg itself refuses then, when it has unpacked
        work = Path(files[0]).parent
        options = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": f"{work}/lists",
            "Dir::State::status": f"{self.state}/status",
            "Dir::Cache": f"{work}/cache",
            "APT::Install-Recommends": "false",
            "Debug::NoLocking": "true",
        }
        given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return _refused(["apt-get", "--simulate", "--no-remove", *given, "install", *files])

    def install(self, files: list[str]) -> None:
        """Install files together, so that their order does not matter."""
        run(["dpkg", *self.place, "--install", "--force-confold", *files], more=_QUIET)

    def remove(self, names: list[str]) -> None:
        """Remove packages together, with their configuration; what resists is seen by looking again."""
        _done(["dpkg", *self.place, "--purge", *names])


class Rpm:
    """Packages of the RHEL family and SUSE: rpm itself, for dnf and zypper would ask their repositories."""

    ending = ".rpm"

    def __init__(self, root: str = "/") -> None:
        self.rpm = ["rpm", *(["--root", root] if root != "/" else [])]

    def installed(self) -> dict[str, str]:
        """Return the version of every installed package."""
        lines = run([*self.rpm, "-qa", "--qf", "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n"]).splitlines()
        return {line.split()[0]: line.split()[1] for line in lines if len(line.split()) == 2}

    def present(self) -> set[str]:
        """Return the names of installed packages."""
        return set(self.installed())

    def is_older(self, version: str, wanted: str) -> bool:
        """Say whether an installed version is older than the wanted one: epoch, version, release, in turn."""
        pairs = list(zip(_parts(version), _parts(wanted), strict=True))
        return next((result < 0 for a, b in pairs if (result := _compared(a, b))), False)

    def ready(self) -> None:
        """Do nothing: rpm leaves nothing half-done that it could finish."""

    def refusal(self, files: list[str]) -> str:
        """Return why these files cannot be installed together here; empty where they can. Changes nothing."""
        done = _done([*self.rpm, "--upgrade", "--test", "--nosignature", *files])
        return "" if done.returncode == 0 else _last(done.stderr or done.stdout)

    def install(self, files: list[str]) -> None:
        """Install files together. Their digests are checked; keys of their makers need not be on the host."""
        run([*self.rpm, "--upgrade", "--nosignature", *files])

    def remove(self, names: list[str]) -> None:
        """Remove packages together; what resists is seen by looking again."""
        _done([*self.rpm, "--erase", *names])


def manager(root: str = "/") -> Dpkg | Rpm:
    """Return the package manager of this host.

    Raises:
        HostProblem: it has none that we know.
    """
    # A Debian host may have rpm as a tool; its own packages are dpkg's all the same.
    if below(root, "/var/lib/dpkg/status").exists():
        return Dpkg(root)
    if shutil.which("rpm"):
        return Rpm(root)
    raise HostProblem("this host has neither dpkg nor rpm, and packages of other kinds are not known")


def linked(files: Iterable[tuple[str, Path]], folder: Path, ending: str) -> list[str]:
    """Return files under names that package managers know them by."""
    found = []
    for name, path in files:
        link = folder / f"{name}{ending}"
        link.symlink_to(path)
        found.append(str(link))
    return found


def _environment() -> dict[str, str]:
    return {**os.environ, **_QUIET}


def _done(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, capture_output=True, text=True, errors="replace", env=_environment(), check=False
    )


def _refused(argv: list[str]) -> str:
    done = _done(argv)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if _REFUSED.match(line)]
    lines = [line for line in lines if "Unable to correct problems" not in line]
    return "; ".join(lines[:4]) or _last(done.stderr)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("warning:")]
    return "; ".join(lines[-5:]).replace("error: Failed dependencies:; ", "")


def _parts(version: str) -> tuple[str, str, str]:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise HostProblem(f"{version} is not a version of a package")
    return found[1] or "0", found[2], found[3] or ""


def _compared(a: str, b: str) -> int:
    """Return how rpm orders two parts of versions: -1, 0 or 1."""
    return 0 if a == b else int(run(["rpm", "--eval", f"%{{lua: print(rpm.vercmp('{a}', '{b}'))}}"]).strip())
