"""Module states on the host: what is loaded, and what lies on disk for which kernel; builds are elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiplat.gpu.facts import Evidence, Fact
from aiplat.gpu.signals.smi import VERSION

_LSMOD = re.compile(r"^(\w+)\s+(\d+)\s+(\d+)(?:\s+([\w,]*))?\s*$")
_LICENCE = re.compile(r"^(?:license:\s*)?(NVIDIA|Dual MIT/GPL)\s*$", re.IGNORECASE | re.MULTILINE)
_MODINFO_VERSION = re.compile(rf"^version:\s*{VERSION}", re.MULTILINE)
_TAINT_LICENCE = re.compile(r"nvidia: module license '(NVIDIA|Dual MIT/GPL)'")
_MODULE_PATH = re.compile(r"/lib/modules/([^/\s]+)/\S*\bnvidia[\w-]*\.ko")
_MISSING_IN = re.compile(r"not found in directory /lib/modules/(\S+)")


@dataclass(frozen=True)
class Modules:
    """Loaded modules and what is known of NVIDIA's module on disk."""

    listed: dict[str, Evidence]
    licence_open: bool | None
    disk_version: str
    disk_kernels: tuple[str, ...]
    missing_for: str

    def is_loaded(self, name: str) -> bool:
        """Whether lsmod lists a module."""
        return name in self.listed


def read_modules(facts: Iterable[Fact]) -> Modules:
    """Return module states from lsmod, modinfo, find and ls."""
    known = tuple(facts)
    listed: dict[str, Evidence] = {}
    for fact in known:
        for line in fact.lines:
            match = _LSMOD.match(line.strip())
            if match and int(match[2]) > 1000:
                listed.setdefault(match[1], fact.evidence(line))
    text = "\n".join("\n".join(fact.lines) for fact in known)
    missing = _MISSING_IN.search(text)
    return Modules(
        listed=listed,
        licence_open=_licence(known),
        disk_version=_found(_MODINFO_VERSION, text) or _bare_version(known),
        disk_kernels=tuple(dict.fromkeys(_MODULE_PATH.findall(text))),
        missing_for=missing[1].rstrip(".'\"") if missing else "",
    )


def _bare_version(facts: Iterable[Fact]) -> str:
    asked = (fact for fact in facts if re.search(r"modinfo .*-F ?version", fact.command))
    return next((match[1] for fact in asked if (match := re.match(VERSION, fact.flow))), "")


def _licence(facts: Iterable[Fact]) -> bool | None:
    for fact in facts:
        text = "\n".join(fact.lines)
        match = _TAINT_LICENCE.search(text) or ("modinfo" in fact.command and _LICENCE.search(text)) or None
        match = match or re.search(r"^license:\s*(NVIDIA|Dual MIT/GPL)\s*$", text, re.MULTILINE)
        if match:
            return match[1].lower() != "nvidia"
    return None


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
