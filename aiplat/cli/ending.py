"""What a verb prints last for programs: its document where it did its work, else one that says why not."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiplat.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, Finding

_STATES = {EXIT_INTERRUPTED: "interrupted", EXIT_BAD_INPUT: "refused"}
_printed: list[bool] = []


def begin() -> None:
    """Forget what a verb before this one printed."""
    _printed.clear()


def print_json(document: dict[str, Any]) -> None:
    """Print the document that a verb ends with on standard output, as one line."""
    _printed.append(True)
    print_event(document)


def print_event(document: dict[str, Any]) -> None:
    """Print a line that others follow."""
    import typer  # noqa: PLC0415 - Ctrl-C has its sentence before it is loaded

    typer.echo(json.dumps(document, ensure_ascii=False))


def end_badly(words: Sequence[str], exit_code: int, findings: Sequence[Finding]) -> None:
    """Print how a verb failed, if the command line asked for JSON and no document was printed yet."""
    if "--json" not in words or _printed:
        return
    print_json(
        {
            "apiVersion": "aiplat.dev/v1alpha1",
            "kind": "Summary",
            "verb": " ".join(_verb(words)),
            "state": _STATES.get(exit_code, "failed"),
            "exitCode": exit_code,
            "findings": [asdict(finding) for finding in findings],
        }
    )
    sys.stdout.flush()


def _verb(words: Sequence[str]) -> list[str]:
    """Return the verb with its group (`bundle verify`)."""
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
    )
    return [word for word in words[: 2 if words[0] in groups else 1] if not word.startswith("-")]
