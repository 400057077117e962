"""Turns a description of hardware, as a case or a person writes it, into devices; plans nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiplat.fit.devices import TIMES, Device, doubt_about, find_device, memory_in, part_of, seen_by_driver
from aiplat.fit.knowledge import GIB, MIB

# `-SHARED` ends the product's label of a card whose time is sliced: its memory is everybody's.
_SHARED = re.compile(
    r"\b(resident|shared with|desktop|windows|win1[01]|wsl2?|other process)|-shared\b", re.IGNORECASE
)
_MOST = 1e9  # of any unit: what is beyond, or no number at all, says nothing
_MOST_CARDS = 1024
# Memory that was set aside for graphics, rather than that of the whole machine.
_CARVED = re.compile(r"\b(vram|carve|gtt)", re.IGNORECASE)


@dataclass(frozen=True)
class Hardware:
    """Where a model is to run: accelerators (none: the processor) and the processor with its memory."""

    gpus: tuple[Device, ...]
    cpu: Device
    unclear: str = ""
    """Why the accelerators cannot be told from what was said; empty where they can."""


def read_hardware(said: Mapping[str, Any]) -> Hardware:
    """Return the devices that a case's `hardware` block describes; whatever it leaves out stays unknown."""
    text = " ".join(str(said[key]) for key in ("gpu", "as_stated", "system", "name", "cpu") if said.get(key))
    cpu = find_device(text, ("cpus",)) or Device("processor", "cpu")
    if _on_processor(said, text):
        known = (
            cpu if cpu.bandwidth else replace(find_device(text, ("systems",)) or cpu, kind="cpu", total=None)
        )
        return Hardware((), _with_ram(known, said, text))
    if doubt := next((d for name in _parts(text) if (d := doubt_about(find_device(name), name))), ""):
        return Hardware((), cpu, f"{text!r} {doubt}")
    count = _count(said, text)
    found = [device for name in _parts(text) if (device := _one(name, said))]
    if not found and cpu.bandwidth:
        return Hardware((), _with_ram(cpu, said, text))
    if len(found) > 1 and re.search(r"\w/\w", text) and len({d.total for d in found}) > 1:
        return Hardware((), cpu, f"{text!r} names different devices")
    if not found:
        return Hardware((), cpu, f"{text or 'the device'!r} does not say which device it is")
    gpus = _as_many(found, count)
    return Hardware(_said_memory(gpus, said), _with_ram(cpu, said, ""))


def _on_processor(said: Mapping[str, Any], text: str) -> bool:
    if str(said.get("processor", "")).upper() == "CPU":
        return True
    return said.get("count") == 0 or bool(re.match(r"\s*cpu\b", text, re.IGNORECASE))


def _parts(text: str) -> list[str]:
    """Split a list of devices; a text that names one at most stays whole, with what it says beside."""
    parts = [part for part in re.split(r"\s+\+\s+|,\s+|(?<=\w)/(?=[A-Z])", text) if part]
    named = [part for part in parts if find_device(part)]
    return named if len(named) > 1 else [text]


def _count(said: Mapping[str, Any], text: str) -> int:
    if isinstance(said.get("count"), int) and said["count"] > 0:
        return min(int(said["count"]), _MOST_CARDS)
    match = TIMES.search(text)
    sizes = max((len(said[k]) for k in said if isinstance(said[k], list)), default=1)
    return min(int(match[match.lastindex or 1]), _MOST_CARDS) if match else sizes


def _one(text: str, said: Mapping[str, Any]) -> Device | None:
    """Return the device that a text names; one that is known by its memory alone is as good for fitting."""
    shared = bool(_SHARED.search(text))
    device = find_device(text)
    part = part_of(device, text)
    if part:
        return replace(part, shared=shared)
    if device:
        return replace(device, shared=shared, total=_overridden(device, text))
    size = memory_in(text)
    told = any(k in said for k in ("total_gpu_memory_gib", "memory_available_gib", "nvidia_smi_total_mib"))
    if size is None and not told:
        return None
    return Device(text.strip(), _kind_of(text), seen_by_driver(size) if size else None, shared=shared)


def _overridden(device: Device, text: str) -> int | None:
    """Return the device's memory: what a driver printed (`16303MiB`), or a carve-out of shared memory."""
    printed = re.search(r"(\d{4,6})\s*MiB", text)
    if printed:
        return seen_by_driver(int(printed[1]) * MIB)
    size = memory_in(text)
    if device.kind == "unified" and size:
        return size if _CARVED.search(text) else device.total
    if not device.total or not size or size >= device.total:
        return device.total  # a driver's name holds what was sold: NVIDIA H100 80GB HBM3
    # Cards of one name are sold with less, too: what was said of the card is believed where it is less.
    return min(device.total, seen_by_driver(size))


def _kind_of(text: str) -> str:
    lower = text.lower()
    if "metal" in lower or "apple" in lower:
        return "metal"
    return "rocm" if "rocm" in lower or "amd" in lower else "cuda"


def _as_many(found: list[Device], count: int) -> list[Device]:
    if len(found) == count:
        return found
    # Which of several kinds stands how often was not said: the smallest decides.
    smallest = min(found, key=lambda device: device.total or 0)
    return [smallest] * max(count, 1)


def _said_memory(gpus: list[Device], said: Mapping[str, Any]) -> tuple[Device, ...]:
    """Return the devices with the memory that a driver or an engine printed for them."""
    totals = _sizes(said.get("total_gpu_memory_gib"), GIB) or [
        seen_by_driver(size) for size in _sizes(said.get("nvidia_smi_total_mib"), MIB)
    ]
    totals = totals or _sizes(said.get("recommendedMaxWorkingSetSize_mb"), 1_000_000)
    free = _sizes(said.get("memory_available_gib"), GIB)
    out: list[Device] = []
    for index, device in enumerate(gpus):
        total = _nth(totals, index)
        own = replace(device, total=total) if total else device
        left = _nth(free, index)
        out.append(replace(own, free=left) if left else own)
    return tuple(out)


def _sizes(value: Any, unit: int) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [round(float(v) * unit) for v in values if isinstance(v, int | float) and 0 < v <= _MOST]


def _nth(values: list[int], index: int) -> int | None:
    return values[min(index, len(values) - 1)] if values else None


def _with_ram(cpu: Device, said: Mapping[str, Any], text: str) -> Device:
    ram = _sizes(said.get("ram_gib") or said.get("system_ram_gib"), GIB)
    ram = ram or ([size] if text and (size := memory_in(text)) else [])
    free = _sizes(said.get("memory_available_gib"), GIB) if text else []
    return replace(cpu, total=_nth(ram, 0), free=_nth(free, 0))
