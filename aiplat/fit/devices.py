"""What a model runs on: visible memory, bandwidth, power, by the device's usual names; asks no host."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

from aiplat.fit.knowledge import GIB, MIB, constant, knowledge

_MAKERS = {
    "nvidia",
    "amd",
    "intel",
    "geforce",
    "radeon",
    "tesla",
    "quadro",
    "instinct",
    "generation",
    "apple",
}
_FORMS = {"pcie", "sxm", "sxm2", "sxm4", "sxm5", "nvl", "oam"}
_SERIES = {"rtx", "gtx", "rx", "pro", "arc"}
# Bare numbers that name no card without their series.
_TOO_SHORT = {"2000", "4000", "5000", "6000", "8000", "4500", "vii", "2", "5", "4"}
# Profiles as nvidia-smi, node labels and hypervisors write them: MIG 1g.10gb (also 1g.10gb+me, and
# 1c.3g.20gb with some of its cores), A100-10C, A100-1-5CME.
_MIG = re.compile(
    r"(?<![\w.])(?:[1-7]c\.)?(?P<sevenths>[1-7])g[. -]{1,2}(?P<gb>\d{1,3})gb(?:\+[a-z.]+)?", re.IGNORECASE
)
_VGPU = re.compile(r"-(?P<gb>\d{1,3})[CQAB](?:ME)?\d?\b", re.IGNORECASE)
# The largest share of a card's memory that a profile of so many compute slices has, on any card.
_LARGEST_SHARE = {1: 1 / 4, 2: 1 / 2, 3: 1 / 2}
_MOBILE = re.compile(r"\b(laptop|notebook|mobile|max-q)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Device:
    """One accelerator, or the processor with its memory."""

    name: str
    kind: str
    """`cuda`, `rocm`, `metal`, `unified` or `cpu`."""
    total: int | None = None
    """Bytes that the driver shows; None where nobody said how many."""
    free: int | None = None
    """Bytes said to be free for the engine; None: all but what drivers take."""
    bandwidth: float = 0.0
    """Bytes a second by the data sheet; 0 where not known."""
    memory: str = "ddr"
    tdp_w: float = 0.0
    tensor_tflops: float = 0.0
    shared: bool = False
    """Other programs are said to hold memory of it, or a desktop does."""
    sliced: bool = False
    """One MIG instance: a program sees no second one."""
    slow_cores: bool = False
    price_usd: float | None = None
    price_source: str = ""

    @property
    def usable(self) -> int | None:
        """Bytes an engine may plan with."""
        return self.total if self.free is None else self.free


@dataclass(frozen=True)
class _Entry:
    tokens: tuple[str, ...]
    forms: frozenset[str]
    size: int | None
    fields: dict[str, Any]
    section: str


def tokens(text: str) -> list[str]:
    """Split a device's name as people write it into comparable words (`3080Ti 12GB` → 3080 ti 12 gb)."""
    parted = re.sub(r"\b(rtx|gtx|rx|arc|epyc)(?=\d)", r"\1 ", text.lower())
    return re.findall(r"[a-z]+\d+[a-z]*|\d+|[a-z]+", parted)


def find_device(text: str, sections: tuple[str, ...] = ("gpus", "systems")) -> Device | None:
    """Return the best match for a device's name, None where nothing matches.

    Of cards sold with different memory the one whose size is said is taken, else the smallest.
    """
    words = tokens(text)
    matches = [
        (entry, at) for entry in _entries() if entry.section in sections for at in _places(entry, words)
    ]
    if not matches:
        return None
    # `6000` inside `RTX 6000 Ada` is not a match of its own: the longest name wins.
    longest = max(len(entry.tokens) for entry, _ in matches)
    best = max((m for m in matches if len(m[0].tokens) == longest), key=lambda m: _score(m[0], m[1], words))
    return _device(best[0], text)


def part_of(device: Device | None, text: str) -> Device | None:
    """Return the part of a card that a MIG profile (`1g.10gb`) or a vGPU profile (`A100-10C`) names, or None.

    A profile's memory is a share of the card's, its bandwidth the same share; a MIG profile's first number
    counts sevenths of the card's cores.
    """
    mig, vgpu = _MIG.search(text), _VGPU.search(text) if device else None
    profile = mig or vgpu
    if profile is None:
        return None
    base = device or Device("a card", "cuda")
    size = int(profile["gb"]) * GIB
    share = min(1.0, size / base.total) if base.total else 1.0
    cores = int(mig["sevenths"]) / 7 if mig else share
    return replace(
        base,
        name=f"{base.name} {profile[0].lstrip('-')}",
        total=seen_by_driver(size),
        bandwidth=base.bandwidth * share,
        tensor_tflops=base.tensor_tflops * cores,
        sliced=bool(mig),
    )


def doubt_about(device: Device | None, text: str) -> str:
    """Return why a text does not say how much of a card there is; empty where it does.

    A part that is larger than cards have it is a slip; a laptop's card of a name has less than the desktop's.
    """
    mig, vgpu = _MIG.search(text), _VGPU.search(text)
    profile = mig or vgpu
    if profile is None and re.search(r"\bmig\b", text, re.IGNORECASE):
        return "is in MIG mode; name the profile, as '1g.10gb'"
    if profile and device and device.total:
        share = int(profile["gb"]) * GIB / device.total
        if share > 1.1 * _LARGEST_SHARE.get(int(mig["sevenths"]) if mig else 7, 1):
            return f"has no part {profile[0].lstrip('-')}; see nvidia-smi mig -lgip"
    if device and profile is None and _MOBILE.search(text) and memory_in(text) is None:
        return "is a laptop's card; say its memory, as 'RTX 4090 Laptop 16 GB'"
    return ""


def device_names() -> list[str]:
    """Return the names of all known devices."""
    return [str(entry["name"]) for key in ("gpus", "systems", "cpus") for entry in knowledge("hardware")[key]]


def memory_in(text: str) -> int | None:
    """Return the first amount of memory that a text names, in bytes; GB of devices are GiB in truth."""
    # The 10 of an A10G is part of a name; the 24 of 2x24GB is not.
    match = re.search(r"(?<![a-wyz\d.])(\d+(?:\.\d+)?)[ -]?(mib|gib|gb|g)\b", text.lower())
    if not match:
        return None
    # `8.2 GB` is a number a tool printed, `8 GB` one from a box.
    unit = MIB if match[2] == "mib" else GIB if match[2] == "gib" or "." not in match[1] else 1e9
    return round(float(match[1]) * unit)


def seen_by_driver(size: float) -> int:
    """Return the bytes engines see of a card of `size` bytes: drivers keep a part for themselves."""
    return round(size * constant("device", "visible_share"))


def metal_working_set(ram: int) -> int:
    """Return how many bytes of an Apple machine's memory graphics may hold."""
    return ram * 2 // 3 if ram <= 36 * GIB else ram * 3 // 4


def with_memory(device: Device, size: int) -> Device:
    """Return the device with `size` bytes of memory, as far as an engine may use them."""
    if device.kind == "metal":
        return replace(device, total=metal_working_set(size))
    if device.kind == "unified":
        # The system and its firmware are in there too; a DGX Spark of 128 shows 119.7.
        return replace(device, total=round(size * constant("device", "unified_share")))
    return replace(device, total=size)


@cache
def _entries() -> tuple[_Entry, ...]:
    found: list[_Entry] = []
    for section in ("gpus", "systems", "cpus"):
        for fields in knowledge("hardware")[section]:
            for name in (str(fields["name"]), *fields.get("aliases", ())):
                found += _spellings(name, fields, section)
    return tuple(found)


def _spellings(name: str, fields: dict[str, Any], section: str) -> list[_Entry]:
    size = re.search(r"(\d+) GB", name)
    words = [w for w in tokens(re.sub(r"\d+ GB", "", name)) if w not in _MAKERS]
    forms = frozenset(w for w in words if w in _FORMS)
    base = tuple(w for w in words if w not in _FORMS)
    variants = {base}
    if base and base[0] in _SERIES and len(base) > 1 and base[1] not in _TOO_SHORT:
        variants.add(base[1:])
    if section == "gpus" and len(base) > 2 and base[0] in _SERIES and base[1] in _TOO_SHORT:
        variants.add(base[1:])
    memory = int(size[1]) if size else None
    return [_Entry(variant, forms, memory, fields, section) for variant in variants if variant]


def _places(entry: _Entry, words: list[str]) -> list[int]:
    n = len(entry.tokens)
    return [i for i in range(len(words) - n + 1) if tuple(words[i : i + n]) == entry.tokens]


def _score(entry: _Entry, at: int, words: list[str]) -> tuple[int, int, int, int]:
    after = words[at + len(entry.tokens) : at + len(entry.tokens) + 4]
    said = next((int(w) for w, unit in pairwise(after) if w.isdigit() and unit.startswith("g")), 0)
    size = entry.size or int(entry.fields.get("memory_gb", 0))
    right_size = 1 if said and said == size else 0
    form = len({w[:3] for w in entry.forms} & {w[:3] for w in after})
    # A bare "H100" is the SXM one that clouds rent out.
    usual = 1 if not form and any(f.startswith("sxm") for f in entry.forms) and "h100" in entry.tokens else 0
    return right_size, form, usual, -size


def _device(entry: _Entry, text: str) -> Device:
    fields = entry.fields
    price = fields.get("price", {})
    device = Device(
        name=str(fields["name"]),
        kind=_kind(entry),
        bandwidth=float(fields.get("bandwidth_gb_s", 0)) * 1e9,
        memory=str(fields.get("memory", "ddr")),
        tdp_w=float(fields.get("tdp_w", 0)),
        tensor_tflops=float(fields.get("tensor_tflops", 0)),
        slow_cores=bool(fields.get("slow_cores")),
        price_usd=price.get("usd"),
        price_source=", ".join(str(price[k]) for k in ("kind", "date", "source") if k in price),
    )
    if entry.section == "gpus":
        return replace(device, total=_card_memory(fields))
    size = memory_in(text) or (int(fields["memory_gb"]) * GIB if "memory_gb" in fields else None)
    return with_memory(device, size) if size else device


def _card_memory(fields: dict[str, Any]) -> int:
    if "visible_gib" in fields:
        return round(float(fields["visible_gib"]) * GIB)
    return seen_by_driver(float(fields["memory_gb"]) * GIB)


def _kind(entry: _Entry) -> str:
    if entry.section == "cpus":
        return "cpu"
    if entry.section == "systems":
        return "metal" if entry.fields.get("metal") else "unified"
    return "cuda" if entry.fields.get("vendor") == "NVIDIA" else "rocm"
