"""Rules about NVSwitch boards: the fabric manager's version and state, and what the fabric reports."""

from __future__ import annotations

import re

from aiplat.gpu.facts import Evidence
from aiplat.gpu.knowledge import switched
from aiplat.gpu.rules.rule import Indication, rule, seen
from aiplat.gpu.signals.all import Signals

_GOOD = re.compile(
    r"^(?:success|\[?n/?a\]?|not supported|\[not supported\]|insufficient permissions)$", re.IGNORECASE
)
_UNFINISHED = re.compile(r"in progress|not started|not initiali[sz]ed", re.IGNORECASE)


def has_switches(signals: Signals) -> tuple[Evidence, ...]:
    """Return what shows that this host's cards are joined by NVSwitches."""
    bridges = tuple(device.evidence for device in signals.devices if device.kind == "switch")
    cards = tuple(card.evidence for card in signals.smi.cards if switched().search(card.name))
    boards = cards if signals.smi.count >= 4 else ()
    return bridges or boards


@rule("fabricmanager-version-mismatch")
def version_mismatch(signals: Signals) -> Indication | None:
    """The fabric manager says so, or its package is of another version than the driver."""
    told = signals.heard("fm-version")
    manager = signals.packages.fabric_manager
    module = signals.kernel.module
    driver = (module.version if module else "") or signals.smi.kernel_version
    differ = bool(manager and driver and manager != driver)
    proof = tuple(p.evidence for p in signals.packages.installed if "fabric" in p.name) or signals.heard(
        "fm-stopped"
    )
    if not told and not differ:
        return None
    return seen(
        told or proof or has_switches(signals), f"fabric manager {manager}, driver {driver}" if differ else ""
    )


@rule("fabricmanager-not-running")
def not_running(signals: Signals) -> Indication | None:
    """CUDA error 802, a fabric state that does not end, or a stopped service on a host with NVSwitches."""
    states = signals.smi.values(r"fabric.*\bstate$")
    unfinished = tuple(field.evidence for field in states if _UNFINISHED.search(field.value))
    stopped = signals.heard("fm-stopped", "fm-failed", "fm-nothing-to-do") if has_switches(signals) else ()
    plain = signals.smi.cards and not switched().search(signals.smi.names) and not has_switches(signals)
    not_ready = () if plain else signals.heard("system-not-ready")
    return seen(not_ready + unfinished + stopped)


@rule("fabric-status-error")
def status_error(signals: Signals) -> Indication | None:
    """The fabric status is neither Success nor absent."""
    fields = signals.smi.values(r"fabric.*\bstatus$")
    wrong = [
        field for field in fields if not _GOOD.match(field.value) and not _UNFINISHED.search(field.value)
    ]
    failed = [
        f for f in signals.smi.values(r"fabric.*\bstate$") if re.search(r"fail|error", f.value, re.IGNORECASE)
    ]
    return seen(tuple(field.evidence for field in (*wrong, *failed)), ", ".join(f.value for f in wrong[:1]))


@rule("fabricmanager-not-needed")
def not_needed(signals: Signals) -> Indication | None:
    """The fabric manager finds no switches, and nothing else shows any."""
    if has_switches(signals):
        return None
    plain = signals.smi.cards and not switched().search(signals.smi.names)
    return seen(signals.heard("fm-nothing-to-do") or (signals.heard("fm-failed") if plain else ()))
