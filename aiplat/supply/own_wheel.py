"""aiplat's own wheel: built from the checkout it runs from, or packed again from where it is installed."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

from aiplat.shipped import shipped_root
from aiplat.supply.process import run

# What pip notes of its own installing; a wheel does not have them.
_OF_AN_INSTALLATION = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def make_own_wheel(folder: Path) -> Path:
    """Write the wheel into a folder and return its path; the same files give the same bytes.

    Raises:
        AiplatError: it cannot be built from the checkout.
    """
    root = shipped_root()
    if not (root / "pyproject.toml").is_file():
        return packed_again("aiplat", folder)
    made = folder / "own"
    made.mkdir()
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made]
    run(argv, what="aiplat's wheel", cwd=root)
    built = next(made.glob("*.whl"))
    return built.rename(folder / built.name)


def packed_again(name: str, folder: Path) -> Path:
    """Write the wheel of a pure Python distribution that is installed here, and return its path."""
    own = distribution(name)
    files = sorted(
        path
        for path in own.files or ()
        if ".." not in path.parts and "__pycache__" not in path.parts and path.name not in _OF_AN_INSTALLATION
    )
    target = folder / f"{name}-{own.version}-py3-none-any.whl"
    record = PurePosixPath(f"{name}-{own.version}.dist-info/RECORD")
    lines = []
    with zipfile.ZipFile(target, "w") as wheel:
        for path in files:
            data = Path(str(path.locate())).read_bytes()
            _put(wheel, str(path), data, Path(str(path.locate())).stat().st_mode)
            lines.append(f"{path},sha256={_digest(data)},{len(data)}")
        _put(wheel, str(record), "\n".join([*lines, f"{record},,", ""]).encode(), 0o644)
    return target


def _put(wheel: zipfile.ZipFile, name: str, data: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    # Not the modes that an installation got by somebody's umask.
    entry.external_attr = (0o755 if mode & 0o100 else 0o644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    wheel.writestr(entry, data)


def _digest(data: bytes) -> str:
    """Return a digest as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
