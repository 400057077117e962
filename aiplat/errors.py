"""The errors aiplat raises and their exit codes; how they are printed belongs in aiplat.cli."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_CHECK_FAILED = 3
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what, and what to do about it (may be empty)."""

    where: str
    problem: str
    fix: str = ""

    def __str__(self) -> str:
        """Render as `where: what is wrong; what to do`."""
        tail = f"; {self.fix}" if self.fix else ""
        return f"{self.where}: {self.problem}{tail}"


class AiplatError(Exception):
    """Something failed; carries every finding at once and the exit code it stands for."""

    exit_code = EXIT_FAILED

    def __init__(self, findings: Finding | Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = (findings,) if isinstance(findings, Finding) else tuple(findings)
        super().__init__("\n".join(str(f) for f in self.findings))


class BadInput(AiplatError):
    """What the user gave cannot be worked with; nothing was changed."""

    exit_code = EXIT_BAD_INPUT


class CheckFailed(AiplatError):
    """A check looked and found something wrong."""

    exit_code = EXIT_CHECK_FAILED
