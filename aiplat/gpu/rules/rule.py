"""What a rule is: a verdict's cause and fix, and the look that recognises it; knows no verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiplat.gpu.facts import Evidence
from aiplat.gpu.knowledge import verdicts
from aiplat.gpu.signals.all import Signals


@dataclass(frozen=True)
class Indication:
    """What speaks for a verdict; `detail` is a clause for the cause, with this host's own numbers."""

    evidence: tuple[Evidence, ...]
    detail: str = ""


Look = Callable[[Signals], Indication | None]


@dataclass(frozen=True)
class Rule:
    """A verdict with its sentences. `explains` names verdicts that follow from it when both are seen."""

    verdict: str
    cause: str
    fix: str
    look: Look
    explains: frozenset[str] = frozenset()


def rule(verdict: str) -> Callable[[Look], Rule]:
    """Make a look the rule of a verdict; its sentences are in knowledge/verdicts.yaml."""
    told = verdicts()[verdict]
    return lambda look: Rule(verdict, told.cause, told.fix, look, told.explains)


def seen(evidence: tuple[Evidence, ...], detail: str = "") -> Indication | None:
    """Return what was seen, or None where there are no passages."""
    return Indication(evidence, detail) if evidence else None
