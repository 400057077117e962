"""How a command becomes root's on a host, and the password that sudo may ask for: in memory, nowhere else."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from aiplat.errors import BadInput, Finding

PASSWORD_FILE = "AIPLAT_SUDO_PASSWORD_FILE"  # noqa: S105 - the name of a variable
# What a shell's start files print comes before this line, the command's own output after it.
OUTPUT_BEGINS = "aiplat: here the output begins"
# Root runs the command as it is, anybody else by sudo without a prompt. What sudo says is English.
_WITHOUT = (
    f'echo "{OUTPUT_BEGINS}"; if [ "$(id -u)" = 0 ]; then exec "$@"; else LC_ALL=C exec sudo -n -- "$@"; fi'
)
# sudo may take the password from standard input or may not need it: what is left of it, up to the mark,
# is dropped before the command gets the rest.
_MARK = "aiplat: here the input begins"
_DROP = f'while IFS= read -r line && [ "$line" != "{_MARK}" ]; do :; done; exec "$@"'
_WITH = (
    f'echo "{OUTPUT_BEGINS}"; drop=$1; shift; '
    'if [ "$(id -u)" = 0 ]; then exec sh -c "$drop" sh "$@"; '
    'else LC_ALL=C exec sudo -S -p "" -- sh -c "$drop" sh "$@"; fi'
)
# Asks for the password afresh, and once: there is nothing more to read than one line.
_TRY = 'LC_ALL=C exec sudo -k -S -p "" -- true'
_NEEDED = 'if [ "$(id -u)" = 0 ]; then exit 0; else LC_ALL=C exec sudo -n -- true; fi'

_known: list[str] = []


def remember_password(password: str) -> None:
    """Keep the password for as long as this process lives; hosts that need none do not get to see it used."""
    _known[:] = [password]


def forget_password() -> None:
    """Drop the password."""
    _known.clear()


def sudo_password() -> str | None:
    """Return the password that was given to this process, in person or in a file; None if none was.

    Raises:
        BadInput: the file that was named cannot be read, is readable by others, or is empty.
    """
    if not _known and (name := os.environ.get(PASSWORD_FILE)):
        remember_password(_read(Path(name)))
    return _known[0] if _known else None


def as_root(argv: Sequence[str]) -> str:
    """Return the remote command line that runs `argv` as root; its input has to begin with `preamble()`."""
    if sudo_password() is None:
        return shlex.join(["sh", "-c", _WITHOUT, "sh", *argv])
    return shlex.join(["sh", "-c", _WITH, "sh", _DROP, *argv])


def preamble() -> bytes:
    """Return what goes before a command's own input: the password, or nothing where there is none."""
    password = sudo_password()
    return b"" if password is None else f"{password}\n{_MARK}\n".encode()


def need_command() -> str:
    """Return the remote command line that fails, in sudo's words, where a password is needed."""
    return shlex.join(["sh", "-c", _NEEDED])


def try_command() -> str:
    """Return the remote command line that tries the one line it reads as the password, just once."""
    return shlex.join(["sh", "-c", _TRY])


def _read(path: Path) -> str:
    where = f"{PASSWORD_FILE} ({path})"
    try:
        found = path.stat()
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise BadInput(
            Finding(where, f"cannot be read: {reason}", "name a file with the password")
        ) from error
    if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadInput(Finding(where, "others can read it", f"run chmod 600 {path}"))
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password:
        raise BadInput(Finding(where, "does not hold one line, the password", "write the password alone"))
    return password
