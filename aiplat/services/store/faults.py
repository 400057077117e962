"""What the store refuses or cannot do, as errors with findings; how they are answered is for callers."""

from __future__ import annotations

from aiplat.errors import AiplatError, BadInput, Finding


class NotThere(AiplatError):
    """What was named does not exist."""


class AlreadyThere(BadInput):
    """What was to be made exists already."""


class Unreachable(AiplatError):
    """The database does not answer now; the same call may work later."""


def not_there(what: str, name: str) -> NotThere:
    """Return the error for a key, team or budget that is not known."""
    return NotThere(Finding(f"{what} {name}", "is not there", f"list the {what}s that are"))


def bad(where: str, problem: str, fix: str = "") -> BadInput:
    """Return the error for one value that cannot be worked with."""
    return BadInput(Finding(where, problem, fix))
