"""The base root that lab hosts are copied from: Debian as in a cloud image; one host's files are tree's."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from aiplat.content import digest_of, digest_tree
from aiplat.errors import AiplatError, Finding
from aiplat.lab.driver import LabEvent, OnEvent
from aiplat.lab.tools import DIES_WITH_CALLER, run
from aiplat.shipped import shipped
from aiplat.state import cache_home, private_dir

# The stages mmdebstrap announces, in order; they are all it tells about how far it is.
_STAGES = (
    "running apt-get update",
    "downloading packages",
    "extracting archives",
    "installing essential",
    "installing remaining",
    "cleaning package lists",
)
_DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# How this machine reaches its package mirror, besides the sources themselves.
_ACQUIRE_OPTIONS = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
# Documentation is half of a small root's files, and copying files is what making a host takes time for.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
_IDENTITY = (
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/hostname",
    "etc/machine-id",
    "etc/resolv.conf",
    "etc/ssh/ssh_host_*",
    "var/lib/dbus/machine-id",
)
# Roots of other inputs (another suite, an older aiplat) kept beside the newest one.
_ROOTS_KEPT = 2


def lab_suite() -> str:
    """Return the Debian suite that lab hosts run: `AIPLAT_LAB_SUITE`, else what versions.yaml says."""
    chosen = os.environ.get("AIPLAT_LAB_SUITE")
    if chosen:
        return chosen
    versions = YAML(typ="safe").load(shipped("versions.yaml").read_text())
    return str(versions["debian"]["lab_suite"])


def base_root(suite: str, on_event: OnEvent) -> tuple[Path, bool]:
    """Return the folder of the base root for `suite` and whether it had to be built.

    A build that is killed leaves nothing that a later call would take for a root, and no process.

    Raises:
        AiplatError: the packages could not be had; the finding has mmdebstrap's own words.
    """
    folder = private_dir(cache_home() / "lab")
    root = folder / f"rootfs-{_inputs_digest(suite)}"
    if root.is_dir():
        os.utime(root)
        return root, False
    with _one_build_at_a_time(folder):
        if root.is_dir():
            return root, False
        remove_unfinished(folder)
        unfinished = folder / f".building-{root.name}"
        _build(suite, unfinished, on_event)
        run("sync", "--file-system", str(unfinished))
        unfinished.rename(root)
        os.utime(root)
        _remove_old_roots(folder, keep=root)
    return root, True


def _inputs_digest(suite: str) -> str:
    inputs = [suite, platform.machine(), digest_tree(shipped("lab/host")), _LEFT_OUT]
    return digest_of(inputs).removeprefix("sha256:")[:16]


@contextmanager
def _one_build_at_a_time(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _build(suite: str, target: Path, on_event: OnEvent) -> None:
    mirrors = apt_sources(suite)
    sources = target.with_name(f"{target.name}.sources")
    sources.write_text(mirrors)
    # On a machine that is not Debian mmdebstrap knows Debian's own archive by itself.
    given = (str(sources),) if mirrors else ()
    _run_mmdebstrap((*_mmdebstrap_argv(suite, target), *given), on_event)
    sources.unlink()
    _strip_identity(target)
    shutil.copytree(shipped("lab/host/files"), target, dirs_exist_ok=True)
    _set_units(target)


def _mmdebstrap_argv(suite: str, target: Path) -> tuple[str, ...]:
    configured = run("apt-config", "dump").splitlines()
    options = [f"--aptopt={line}" for line in configured if line.startswith(_ACQUIRE_OPTIONS)]
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    # Written out once, when the root is whole, instead of after every package.
    options += ["--dpkgopt=force-unsafe-io"]
    return (
        "mmdebstrap",
        "--mode=root",
        "--format=directory",
        "--variant=minbase",
        # Merged from the start: converting later would bring all of Perl along.
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        f"--include={','.join(_listed('lab/host/packages.txt'))}",
        *options,
        suite,
        str(target),
    )


def _listed(relative: str) -> list[str]:
    lines = shipped(relative).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _run_mmdebstrap(argv: tuple[str, ...], on_event: OnEvent) -> None:
    # Its own process namespace: with the first process gone, everything it started is gone.
    alone = (*DIES_WITH_CALLER, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    said: list[str] = []
    with subprocess.Popen(
        (*alone, *argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101  (given to Popen three lines up)
        for line in process.stdout:
            said.append(line.strip())
            _tell_stage(line, on_event)
    if process.returncode != 0:
        reason = " / ".join(line for line in said[-4:] if line)
        fix = "see that apt-get update works on this machine, then run the same command again"
        raise AiplatError(Finding("lab base root", f"mmdebstrap failed: {reason}", fix))


def _tell_stage(line: str, on_event: OnEvent) -> None:
    for number, stage in enumerate(_STAGES):
        if stage in line:
            on_event(LabEvent("progress", "base", text=stage, done=number, total=len(_STAGES)))


def apt_sources(suite: str) -> str:
    """Return apt sources (deb822) for `suite` from the mirrors this machine itself is configured with."""
    codename = debian_codename(platform.freedesktop_os_release())
    listing = run(
        "apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    )
    signed = f"Signed-By: {_DEBIAN_KEYRING}\n" if _DEBIAN_KEYRING.exists() else ""
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {release}\nComponents: main\n{signed}"
        for uri, release in mirrors_for(suite, codename, listing)
    )


def mirrors_for(suite: str, codename: str, listing: str) -> list[tuple[str, str]]:
    """Return (address, release) of each Debian archive in `listing`, the machine's codename made `suite`.

    `listing` has one `address release component` a line; archives of other makers are left out.
    """
    found: dict[tuple[str, str], None] = {}
    for line in listing.splitlines():
        uri, release, component = line.split()
        match = re.fullmatch(rf"(?:{re.escape(codename)}|stable)(-updates|-security|/updates|)", release)
        if match and component == "main" and codename:
            found[uri, suite + match.group(1)] = None
    return list(found)


def debian_codename(os_release: dict[str, str]) -> str:
    """Return the suite that a Debian machine runs; empty for other systems, whose mirrors have no Debian."""
    return os_release.get("VERSION_CODENAME", "") if os_release.get("ID") == "debian" else ""


def _strip_identity(root: Path) -> None:
    """Remove what must differ between hosts, and every address outside."""
    for pattern in _IDENTITY:
        for path in root.glob(pattern):
            path.unlink()
    (root / "etc/apt/sources.list").write_text(
        "# A lab host has nothing outside; packages come with the bundle.\n"
    )


def _set_units(root: Path) -> None:
    for line in _listed("lab/host/units.txt"):
        verb, unit = line.split()
        run("chroot", str(root), "systemctl", verb, unit)


def unfinished_builds() -> tuple[Path, ...]:
    """Return what a killed build left in the cache; empty while one is at work."""
    folder = cache_home() / "lab"
    if not folder.is_dir():
        return ()
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return tuple(sorted(folder.glob(".building-*")))
    except BlockingIOError:
        return ()
    finally:
        os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed build left."""
    for left in folder.glob(".building-*"):
        run("rm", "-rf", "--one-file-system", str(left))


def _remove_old_roots(folder: Path, keep: Path) -> None:
    others = sorted((p for p in folder.glob("rootfs-*") if p != keep), key=lambda p: p.stat().st_mtime)
    for old in others[:-_ROOTS_KEPT]:
        run("rm", "-rf", "--one-file-system", str(old))
