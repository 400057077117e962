"""What a verb prints last for programs: its document where it did its work, else one that says why not."""

from __future__ import annotations

import codecs
import errno
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiplat import API_VERSION
from aiplat.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, Finding

_STATES = {EXIT_INTERRUPTED: "interrupted", EXIT_BAD_INPUT: "refused"}
_ELSEWHERE = "or point AIPLAT_STATE and XDG_CACHE_HOME at folders that can be written to"
_REMEDIES = {
    errno.ENOSPC: f"make room there, {_ELSEWHERE}; then run the same command again",
    errno.EDQUOT: f"make room there, {_ELSEWHERE}; then run the same command again",
    errno.EROFS: f"mount it writable, {_ELSEWHERE}",
    errno.EACCES: f"see whose it is, {_ELSEWHERE}",
    errno.EPERM: f"see whose it is, {_ELSEWHERE}",
    errno.ENOTDIR: f"remove the file that stands in a folder's place, {_ELSEWHERE}",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENOENT: "see whether it was removed meanwhile, and that the folder you are in is still there",
}
_printed: list[bool] = []


def begin() -> None:
    """Forget what a verb before this one printed; see that whatever is said can be printed somehow."""
    _printed.clear()
    for stream in (sys.stdout, sys.stderr):
        # Not every terminal's character set has arrows, and not every file's name is text.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json(document: dict[str, Any]) -> None:
    """Print the document that a verb ends with on standard output, as one line, with its version."""
    _printed.append(True)
    print_event({"apiVersion": API_VERSION, **document} if "kind" in document else document)


def print_event(document: dict[str, Any]) -> None:
    """Print a line that others follow."""
    import typer  # noqa: PLC0415 - Ctrl-C has its sentence before it is loaded

    every_character = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    typer.echo(json.dumps(document, ensure_ascii=not every_character))


def of_machine(error: OSError) -> Finding:
    """Return what this machine refused, and what to do about it: nobody foresaw it, but it has a reason."""
    where = " and ".join(str(name) for name in (error.filename, error.filename2) if name) or "this machine"
    return Finding(where, f"refuses to go on: {error.strerror or error}", _REMEDIES.get(error.errno or 0, ""))


def end_badly(words: Sequence[str], exit_code: int, findings: Sequence[Finding]) -> None:
    """Print how a verb failed, if the command line asked for JSON and no document was printed yet."""
    if "--json" not in words or _printed:
        return
    print_json(
        {
            "kind": "Summary",
            "verb": " ".join(_verb(words)),
            "state": _STATES.get(exit_code, "failed"),
            "exitCode": exit_code,
            "findings": [asdict(finding) for finding in findings],
        }
    )
    sys.stdout.flush()


def _verb(words: Sequence[str]) -> list[str]:
    """Return the verb with its groups (`bundle verify`, `bundle trust show`)."""
    groups = (
        "site",
        "secret",
        "vault",
        "catalog",
        "component",
        "bundle",
        "lab",
        "node",
        "model",
        "serve",
        "doctor",
        "users",
    )
    deep = 3 if list(words[:2]) == ["bundle", "trust"] else 2 if words[0] in groups else 1
    return [word for word in words[:deep] if not word.startswith("-")]
