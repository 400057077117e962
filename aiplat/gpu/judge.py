"""Judges one host's facts: the root cause first, then what follows, or what to look at next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiplat.gpu.facts import Evidence, Fact
from aiplat.gpu.health import proofs, troubles
from aiplat.gpu.next_looks import next_looks
from aiplat.gpu.rules.order import RULES
from aiplat.gpu.rules.rule import Indication, Rule
from aiplat.gpu.signals.all import Signals, read_signals

HEALTHY = "healthy"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Also:
    """A further verdict; `follows` says whether the first one explains it."""

    verdict: str
    cause: str
    fix: str
    follows: bool


@dataclass(frozen=True)
class Judgement:
    """A verdict with its cause and fix; `proven` are layers seen to work, `next` commands to run."""

    verdict: str
    cause: str
    fix: str
    evidence: tuple[Evidence, ...] = ()
    also: tuple[Also, ...] = ()
    proven: tuple[str, ...] = ()
    next: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether the host was proven to be well, as far as was looked."""
        return self.verdict == HEALTHY

    def as_json(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {
            "verdict": self.verdict,
            "cause": self.cause,
            "fix": self.fix,
            "evidence": [passage.as_json() for passage in self.evidence],
            "also": [vars(also) for also in self.also],
            "proven": list(self.proven),
            "next": list(self.next),
        }


def judge(facts: Iterable[Fact], k3s: str = "DATA-FOLDER-OF-K3S") -> Judgement:
    """Return the verdict on one host's facts; nothing but the facts is looked at.

    `k3s` is where the host has k3s' data, for the commands to run next.
    """
    signals = read_signals(facts)
    found: dict[str, tuple[Rule, Indication]] = {}
    for rule in RULES:
        what = None if rule.verdict in found else rule.look(signals)
        if what:
            found[rule.verdict] = (rule, what)
    if found:
        return _ill(list(found.values()), signals)
    return _healthy(signals) or _unknown(signals, k3s)


def _ill(found: list[tuple[Rule, Indication]], signals: Signals) -> Judgement:
    first, what = found[0]
    others = tuple(_also(first, rule, seen) for rule, seen in found[1:])
    return Judgement(
        verdict=first.verdict,
        cause=_sentence(first, what) + _told(others),
        fix=first.fix,
        evidence=tuple(dict.fromkeys(what.evidence)),
        also=others,
        proven=tuple(proof.layer for proof in proofs(signals)),
    )


def _sentence(rule: Rule, what: Indication) -> str:
    return f"{rule.cause} ({what.detail})." if what.detail else f"{rule.cause}."


def _also(first: Rule, rule: Rule, what: Indication) -> Also:
    return Also(rule.verdict, _sentence(rule, what), rule.fix, rule.verdict in first.explains)


def _told(others: tuple[Also, ...]) -> str:
    follows = [also.verdict for also in others if also.follows]
    separate = [also.verdict for also in others if not also.follows]
    told = f" This explains {', '.join(follows)}." if follows else ""
    return told + (f" Also seen, to be looked at after it: {', '.join(separate)}." if separate else "")


def _healthy(signals: Signals) -> Judgement | None:
    proven = proofs(signals)
    if not proven or troubles(signals):
        return None
    layers = tuple(proof.layer for proof in proven)
    return Judgement(
        verdict=HEALTHY,
        cause=f"Nothing is wrong in what was seen: {', '.join(layers)}.",
        fix="None needed.",
        evidence=tuple(dict.fromkeys(proof.evidence for proof in proven)),
        proven=layers,
    )


def _unknown(signals: Signals, k3s: str) -> Judgement:
    wrong = troubles(signals)
    looks = next_looks(signals, k3s)
    cause = (
        "Something is wrong, and what was seen does not say what."
        if wrong
        else "What was seen neither shows that the GPU works nor what would be wrong."
    )
    return Judgement(
        verdict=UNKNOWN,
        cause=cause,
        fix=f"Look further, then judge again: {'; '.join(looks)}.",
        evidence=wrong,
        proven=tuple(proof.layer for proof in proofs(signals)),
        next=looks,
    )
