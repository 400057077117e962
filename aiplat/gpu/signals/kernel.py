"""What the kernel and NVIDIA's module in it say: Xids, loading; module states are elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiplat.gpu.facts import Evidence, Fact
from aiplat.gpu.knowledge import xids
from aiplat.gpu.signals.smi import VERSION

_XID = re.compile(
    r"\bXid\b\s*(?:\((?:PCI:)?([\da-f:.]*)\))?(?:[\s=:#]|error|code|number)*(\d{1,3})\b(.{0,160})",
    re.IGNORECASE,
)
_LOADED = re.compile(rf"NVIDIA UNIX (Open )?(?:\S+ )?Kernel Module (?:for \S+)?\s*{VERSION}", re.IGNORECASE)
_MODULE_SIDE = re.compile(rf"kernel module has the version\s+(?:NVRM:\s*)?{VERSION}", re.IGNORECASE)
_LEGACY = re.compile(r"supported through the NVIDIA (?:legacy )?(\d+)[.\dx]* ", re.IGNORECASE)
_KERNEL_FIELD = re.compile(r"^\s*Kernel(?: Version)?:\s+(?:Linux )?(\d+\.\d+\S+)", re.MULTILINE)
_UNAME = re.compile(r"^(?:Linux \S+ )?(\d+\.\d+(?:\.\d+)?[\w.+~-]*)(?:\s|$)")


@dataclass(frozen=True)
class Xid:
    """One Xid message."""

    number: int
    address: str
    text: str
    evidence: Evidence

    @property
    def kind(self) -> str:
        """Return what the number is about; see knowledge/xids.yaml."""
        known = xids().get(self.number)
        return known.kind if known else "other"

    @property
    def means(self) -> str:
        """Return the number's meaning in a few words."""
        known = xids().get(self.number)
        return known.means if known else "a fault that is not described here"


@dataclass(frozen=True)
class Module:
    """NVIDIA's module as it was loaded; `is_open` is None where the text does not tell the flavours apart."""

    version: str
    is_open: bool | None
    evidence: Evidence


@dataclass(frozen=True)
class Kernel:
    """What was read from kernel messages."""

    xids: tuple[Xid, ...]
    module: Module | None
    release: str
    legacy_branch: int | None

    def xids_of(self, *kinds: str) -> tuple[Xid, ...]:
        """Return the Xids of some kinds."""
        return tuple(xid for xid in self.xids if xid.kind in kinds)


def read_kernel(facts: Iterable[Fact]) -> Kernel:
    """Return Xids, the loaded module and the running kernel."""
    known = tuple(facts)
    legacy = next((m for fact in known if (m := _LEGACY.search(fact.flow))), None)
    return Kernel(
        xids=tuple(xid for fact in known for xid in _xids(fact)),
        module=next(filter(None, map(_module, known)), None),
        release=next(filter(None, map(_release, known)), ""),
        legacy_branch=int(legacy[1]) if legacy else None,
    )


def _xids(fact: Fact) -> list[Xid]:
    return [
        Xid(int(match[2]), match[1] or "", match[3], fact.evidence(match[0]))
        for line in fact.lines
        for match in _XID.finditer(line)
    ]


def _module(fact: Fact) -> Module | None:
    match = _LOADED.search(fact.flow)
    if match:
        return Module(match[2], bool(match[1]), fact.evidence(match[0]))
    side = _MODULE_SIDE.search(fact.flow)
    return Module(side[1], None, fact.evidence(side[0])) if side else None


def _release(fact: Fact) -> str:
    named = _KERNEL_FIELD.search("\n".join(fact.lines))
    if "uname" not in fact.command:
        return named[1] if named else ""
    match = _UNAME.match(fact.lines[0]) if fact.lines else None
    return match[1] if match else ""
