#!/usr/bin/env -S python3 -I
"""Installs aiplat from the bundle that this file lies in, without a network: `python3 -I install --help`.

A bundle's `install` is a copy of it. It runs before aiplat is there, so it imports nothing but Python's own.
"""

# No __future__, and nothing before this: a module of Python's own that lies beside this file, on a medium of
# others, would run in place of the real one. `-I` keeps it out as well.
import sys

if __name__ == "__main__" and not sys.flags.isolated:
    del sys.path[0]

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any

_TITLE = "org.opencontainers.image.title"
_PYTHONS = "dev.aiplat.pythons"
_REQUIREMENTS = "requirements.txt"
_NEEDED = 600 << 20
_WHOLE = ".installed-from"
"""In the installed folder: the digest of the bundle's runtime; empty until all is installed."""


class NotInstalled(Exception):
    """Where, what is wrong and what to do, as one line."""


def main(argv: "list[str] | None" = None) -> int:
    """Install, or say in one line why not: 1 where the folder cannot be written, 2 for a wrong bundle."""
    arguments = _arguments().parse_args(argv)
    try:
        program = install(Path(__file__).resolve().parent, arguments.to, arguments.sha256)
    except NotInstalled as problem:
        print(f"Error: {_plain(problem)}", file=sys.stderr)  # noqa: T201 - aiplat's terminal is not there yet
        return 2
    except OSError as problem:
        print(f"Error: {problem.filename}: {problem.strerror}", file=sys.stderr)  # noqa: T201 - the same
        return 1
    print(f"aiplat is installed: {program}")  # noqa: T201 - the same
    return 0


def _plain(problem: Exception) -> str:
    """Return a sentence without what a terminal would obey: parts of it stand in the bundle."""
    return "".join(c if c.isprintable() else "?" for c in str(problem))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install",
        description="Install aiplat from this bundle, without a network, for the one who calls it.",
    )
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    where = home / "aiplat-runtime"
    parser.add_argument(
        "--to", type=Path, default=where, help=f"the folder to install into (default: {where})"
    )
    parser.add_argument(
        "--sha256",
        help="what bundle.json's sha256 must be, as whoever made the bundle told you by another way",
    )
    return parser


def install(bundle: Path, target: Path, expected: "str | None" = None) -> Path:
    """Install a bundle's runtime into a folder and return the program; what is there of the same stays.

    Raises:
        NotInstalled: the bundle is not what it says, has no runtime, or not one for this Python.
        OSError: the folder cannot be written.
    """
    digest, manifest = _runtime(bundle, expected)
    pythons = manifest["annotations"][_PYTHONS].split(",")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here not in pythons:
        raise NotInstalled(
            f"Python {here}: the bundle is for Python {', '.join(pythons)}; run it with one of them"
        )
    program = target / "bin" / "aiplat"
    if (target / _WHOLE).is_file() and (target / _WHOLE).read_text() == digest:
        return program
    _make_room(target)
    wheels = _checked(bundle, manifest)
    venv.EnvBuilder(with_pip=False, symlinks=True).create(target)
    # What was compared is what pip runs: a medium may give other bytes when it is read again.
    with tempfile.TemporaryDirectory(dir=target) as folder:
        for name, text in wheels.items():
            (Path(folder) / name).write_bytes(text)
        _run_pip(target, Path(folder))
    (target / _WHOLE).write_text(digest)
    return program


def _runtime(bundle: Path, expected: str | None) -> tuple[str, dict[str, Any]]:
    """Return the digest and the manifest of the runtime that bundle.json names."""
    text = (bundle / "bundle.json").read_bytes()
    found = hashlib.sha256(text).hexdigest()
    said = (bundle / "bundle.json.sha256").read_text().split(" ")[0]
    if found != said:
        raise NotInstalled(f"{bundle / 'bundle.json'}: was altered; bring the bundle again")
    if expected and found != expected.lower().removeprefix("sha256:"):
        raise NotInstalled(
            f"{bundle / 'bundle.json'}: its sha256 is {found}, not {expected}; it is another bundle"
        )
    artifacts = _read(text, bundle / "bundle.json")["lock"]["artifacts"]
    runtimes = [one["digest"] for one in artifacts if one["kind"] == "runtime"]
    if not runtimes:
        raise NotInstalled(
            f"{bundle}: has no runtime; make one with `planes: platform: runtime: {{state: on}}`"
        )
    return runtimes[0], _read(_blob(bundle, runtimes[0]), bundle)


def _read(text: bytes, where: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        raise NotInstalled(f"{where}: cannot be read; bring the bundle again") from None


def _checked(bundle: Path, manifest: dict[str, Any]) -> dict[str, bytes]:
    """Return the content of every layer by its name; each has the digest that the manifest says."""
    layers = {layer["annotations"][_TITLE]: str(layer["digest"]) for layer in manifest["layers"]}
    strange = [name for name in layers if Path(name).name != name or name == ".."]
    if strange:
        raise NotInstalled(f"{bundle}: {strange[0]!r} is not the name of a file; bring the bundle again")
    return {name: _blob(bundle, digest) for name, digest in layers.items()}


def _blob(bundle: Path, digest: str) -> bytes:
    path = bundle / "blobs" / "sha256" / digest.removeprefix("sha256:")
    if not path.is_file():
        raise NotInstalled(f"{path}: is missing; bring the bundle again")
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != path.name:
        raise NotInstalled(f"{path}: was altered; bring the bundle again")
    return text


def _make_room(target: Path) -> None:
    """Remove what an earlier, other or interrupted installation left, and see that there is room."""
    if target.exists():
        if any(target.iterdir()) and not (target / _WHOLE).is_file():
            raise NotInstalled(f"{target}: holds other files; name another folder with --to")
        shutil.rmtree(target)
    target.mkdir(parents=True)
    (target / _WHOLE).touch()
    free = shutil.disk_usage(target).free
    if free < _NEEDED:
        raise NotInstalled(
            f"{target}: needs {_NEEDED >> 20} MiB, {free >> 20} MiB are free; make room, or use --to"
        )


def _run_pip(target: Path, folder: Path) -> None:
    """Let the pip of the bundle install the wheels of a folder, each with the hash of the bundle's list."""
    pip = next(folder.glob("pip-*.whl"))
    argv: list[str | Path] = [
        target / "bin" / "python",
        pip / "pip",
        "--isolated",
        "install",
        "--quiet",
        "--no-index",
    ]
    argv += ["--disable-pip-version-check", "--no-cache-dir", "--find-links", folder, "--require-hashes"]
    argv += ["--requirement", folder / _REQUIREMENTS]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip ended without a word"])[-1]
        raise NotInstalled(f"{target}: {last}; run the same command again")


if __name__ == "__main__":
    sys.exit(main())
