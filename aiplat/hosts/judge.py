"""Asks every check of every host and returns what is wrong; reaching hosts is in aiplat.fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import aiplat.hosts.checks  # noqa: F401 - importing the checks registers them
from aiplat.errors import Finding
from aiplat.hosts.check import BLOCKER, CHECKS, NOTE, WARNING, HostCheck, SeenHost, Severity

_EARLY = {check.name for check in CHECKS if check.early}
RANK: dict[Severity, int] = {BLOCKER: 0, WARNING: 1, NOTE: 2}


@dataclass(frozen=True)
class Trouble:
    """One precondition that a host does not meet."""

    host: str
    check: str
    severity: Severity
    cause: str
    fix: str

    @property
    def finding(self) -> Finding:
        """The trouble as a finding."""
        return Finding(self.host, self.cause, self.fix)


@dataclass(frozen=True)
class Verdict:
    """What all checks said of one host; `unseen` are those that had nothing to judge by."""

    host: str
    troubles: tuple[Trouble, ...]
    met: tuple[str, ...]
    unseen: tuple[str, ...]

    def of(self, severity: Severity) -> tuple[Trouble, ...]:
        """Return the troubles of one severity."""
        return tuple(t for t in self.troubles if t.severity == severity)

    @property
    def looked_at(self) -> bool:
        """Whether the host was reached and its look run: else nothing but that is known of it."""
        return not any(trouble.check in _EARLY for trouble in self.troubles)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong that would need doing; notes are not wrongs."""
        return not self.of(BLOCKER) and not self.of(WARNING)


def judge(hosts: Sequence[SeenHost]) -> tuple[Verdict, ...]:
    """Ask every check of every host; the worst troubles come first."""
    fellows = tuple(hosts)
    return tuple(_verdict(replace(host, fellows=fellows)) for host in hosts)


def _verdict(host: SeenHost) -> Verdict:
    early = _asked(host, [check for check in CHECKS if check.early])
    if early.troubles:
        # What could not be reached or run says nothing about the rest.
        rest = tuple(check.name for check in CHECKS if not check.early)
        return replace(early, troubles=early.troubles[:1], unseen=rest)
    others = _asked(host, [check for check in CHECKS if not check.early])
    return replace(others, met=early.met + others.met)


def _asked(host: SeenHost, checks: Sequence[HostCheck]) -> Verdict:
    troubles, met, unseen = [], [], []
    for check in checks:
        said = check.ask(host) if check.concerns(host) else ""
        if said is None:
            unseen.append(check.name)
        elif said:
            severity = NOTE if check.name in host.needs.accepted and not check.early else check.severity
            troubles.append(Trouble(host.name, check.name, severity, said, check.fix_for(host)))
        else:
            met.append(check.name)
    troubles.sort(key=lambda trouble: RANK[trouble.severity])
    return Verdict(host.name, tuple(troubles), tuple(met), tuple(unseen))
