"""PCI devices of NVIDIA as lspci, lshw and inxi print them: what they are and which driver holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from aiplat.gpu.facts import Evidence, Fact
from aiplat.gpu.knowledge import GpuGeneration, by_device_id, by_name

_ADDRESS = r"(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]"
_DEVICE = re.compile(
    rf"^\s*(?:({_ADDRESS})\s+)?(\w[\w /-]{{1,60}}?)(?:\s*\[([0-9a-f]{{4}})\])?:\s+(.*)$", re.IGNORECASE
)
_MACHINE = re.compile(rf'^({_ADDRESS}) "([^"]*)" "([^"]*)" "([^"]*)"', re.IGNORECASE)
_CLASSES = {"vga": "gpu", "3d": "gpu", "display": "gpu", "audio": "audio", "bridge": "switch"}
_CLASS_NUMBERS = {"0300": "gpu", "0302": "gpu", "0380": "gpu", "0403": "audio", "0680": "switch"}
_IN_USE = re.compile(r"kernel driver in use:\s*(\S+)", re.IGNORECASE)
_LSHW_DRIVER = re.compile(r"configuration:.*\bdriver=(\S+)")
_INXI = re.compile(r"Device-\d+: (NVIDIA .*?) (?:vendor: .*? )?driver: (\S+)", re.IGNORECASE)
_ID = re.compile(r"\[?10de:([0-9a-f]{4})\]?", re.IGNORECASE)
_OLD_ID = re.compile(r"\bDevice ([0-9a-f]{4})\b", re.IGNORECASE)
_GONE = re.compile(r"\(rev ff\)|unknown header type 7f", re.IGNORECASE)
_NO_MEMORY = re.compile(r"Memory at <(?:unassigned|ignored|invalid)[^>]*>(?!.*\[size=\d+K\])", re.IGNORECASE)


@dataclass(frozen=True)
class PciDevice:
    """One NVIDIA function; `driver` is what is bound, empty where that was not seen."""

    address: str
    kind: str
    name: str
    architecture: GpuGeneration | None
    evidence: Evidence
    driver: str = ""
    driver_evidence: Evidence | None = None
    gone: bool = False
    without_memory: bool = False

    @property
    def proof(self) -> Evidence:
        """Return the passage that names the driver, or else the device."""
        return self.driver_evidence or self.evidence


def devices(facts: Iterable[Fact]) -> tuple[PciDevice, ...]:
    """Return every NVIDIA function seen; what several commands show is one, with all that is known."""
    merged: dict[str, PciDevice] = {}
    for fact in facts:
        for number, device in enumerate(_in_fact(fact)):
            key = _short(device.address) or f"{fact.command}#{number}"
            merged[key] = _merged(merged[key], device) if key in merged else device
    return tuple(merged.values())


def _short(address: str) -> str:
    return re.sub(r"^0+:", "", address.lower())


def _merged(one: PciDevice, other: PciDevice) -> PciDevice:
    return replace(
        one,
        architecture=one.architecture or other.architecture,
        driver=one.driver or other.driver,
        driver_evidence=one.driver_evidence or other.driver_evidence,
        gone=one.gone or other.gone,
        without_memory=one.without_memory or other.without_memory,
    )


def _in_fact(fact: Fact) -> Iterator[PciDevice]:
    current: PciDevice | None = None
    foreign = False  # inside the block of a device that is not NVIDIA's
    for line in fact.lines:
        started = _started(fact, line)
        if started:
            if current:
                yield current
            current, foreign = started, False
        elif _is_device(line):
            if current:
                yield current
            current, foreign = None, True
        elif current:
            current = _detailed(fact, current, line)
        elif not foreign and _in_use(line):
            # Some show only the lines about the driver: the device is then whatever the command asked for.
            current = _detailed(fact, PciDevice("", "gpu", "", None, fact.evidence(line)), line)
    if current:
        yield current


def _is_device(line: str) -> bool:
    match = _DEVICE.match(line)
    return bool(match and match[1])


def _started(fact: Fact, line: str) -> PciDevice | None:
    quoted = _MACHINE.match(line)
    if quoted and "nvidia" in line.lower():
        return _device(fact.evidence(line), quoted[1], _kind(quoted[2], ""), quoted[4])
    inxi = _INXI.search(line)
    if inxi:
        device = PciDevice("", "gpu", inxi[1], by_name(inxi[1]), fact.evidence(line))
        return replace(device, driver=inxi[2].lower(), driver_evidence=fact.evidence(line))
    match = _DEVICE.match(line)
    if not match or not (match[1] or match[3] or _kind(match[2], "")):
        return None
    if "nvidia" not in match[4].lower() and "10de:" not in match[4].lower():
        return None
    if line.lower().lstrip().startswith(("subsystem", "kernel")):
        return None
    kind = _CLASS_NUMBERS.get(match[3] or match[2]) or _kind(match[2], match[4])
    return _device(fact.evidence(line), match[1] or "", kind, match[4])


def _device(evidence: Evidence, address: str, kind: str, rest: str) -> PciDevice:
    identity = _ID.search(rest) or _OLD_ID.search(rest)
    architecture = (by_device_id(identity[1]) if identity else None) or by_name(rest)
    gone = bool(_GONE.search(evidence.quote))
    return PciDevice(address, kind or "other", rest, architecture, evidence, gone=gone)


def _kind(word: str, rest: str) -> str:
    lower = word.lower()
    if "pci bridge" in lower or "isa bridge" in lower:
        return ""
    found = next((kind for sign, kind in _CLASSES.items() if sign in lower), "")
    return "switch" if "nvswitch" in rest.lower() else found


def _in_use(line: str) -> str:
    match = _IN_USE.search(line) or _LSHW_DRIVER.search(line)
    return match[1].lower() if match else ""


def _detailed(fact: Fact, device: PciDevice, line: str) -> PciDevice:
    driver = _in_use(line)
    if driver and not device.driver:
        return replace(
            device, driver=driver, driver_evidence=fact.evidence(f"{device.evidence.quote} … {line}")
        )
    if _GONE.search(line):
        return replace(device, gone=True)
    if _NO_MEMORY.search(line):
        return replace(device, without_memory=True)
    return device
