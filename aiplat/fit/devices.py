"""What a model runs on: visible memory, bandwidth, power, by the device's usual names; asks no host."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from typing import Any

from aiplat.fit.knowledge import GIB, MIB, constant, knowledge
from aiplat.fit.slices import core_share, has_part, profile_in, profiles_of, seen_gib

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
# Max-Q is also what a workstation's card of less power is called.
_MOBILE = re.compile(r"\b(laptop|notebook|mobile)\b|\bmax-q\b(?! workstation)", re.IGNORECASE)
# How many there are, before a name or after it; the XT of an RX 7900 XT is its name.
TIMES = re.compile(
    r"(?:^\s*(\d{1,4})|(?<=\s)(\d{1,2}))\s*[x\u00d7*]\s*(?=[a-z])(?!(?<=x)tx?\b)"
    r"|(?<![a-z])[x\u00d7*]\s*(\d{1,4})\)?\s*$",
    re.IGNORECASE,
)


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
    parted = re.sub(r"\b(rtx|gtx|rx|arc|epyc)(?=\d)", r"\1 ", TIMES.sub(" ", text.lower()))
    return re.findall(r"[a-z]+\d+[a-z]*|\d+|[a-z]+", parted)


def find_device(text: str, sections: tuple[str, ...] = ("gpus", "systems")) -> Device | None:
    """Return the best match for a device's name, None where nothing matches.

    Of cards sold with different memory the one whose size is said is taken, else the smallest.
    """
    named = _named(text, sections)
    return _device(max(named, key=lambda m: m[1])[0], text) if named else None


def of_the_same_name(text: str) -> list[str]:
    """Return the names of other cards that a text means as well: they have more memory than the one taken."""
    if memory_in(text) is not None or profile_in(text):
        return []
    named = _named(text, ("gpus",))
    best = max((score for _, score in named), default=())
    size = -best[-1] if best else 0
    others = (entry for entry, score in named if score[:-1] == best[:-1] and -score[-1] != size)
    return list(dict.fromkeys(str(entry.fields["name"]) for entry in others))


def _named(text: str, sections: tuple[str, ...]) -> list[tuple[_Entry, tuple[int, int, int, int, int]]]:
    """Return the devices of a name with how well each fits, the least memory last in that."""
    words = tokens(text)
    matches = [
        (entry, at) for entry in _entries() if entry.section in sections for at in _places(entry, words)
    ]
    # `6000` inside `RTX 6000 Ada` is not a match of its own: the longest name wins.
    longest = max((len(entry.tokens) for entry, _ in matches), default=0)
    named = [m for m in matches if len(m[0].tokens) == longest]
    # `A100 3g.40gb` is a part of the larger card of that name.
    profile = profile_in(text)
    unsaid = profile.name if profile and memory_in(text.replace(profile.text, "")) is None else ""
    having = [m for m in named if unsaid in profiles_of(str(m[0].fields["name"]))]
    return [(entry, _score(entry, at, words)) for entry, at in having or named]


def part_of(device: Device | None, text: str) -> Device | None:
    """Return the part of a card that a MIG profile (`1g.10gb`) or a vGPU profile (`A100-10C`) names, or None.

    Its bandwidth is the same share of the card's as its memory.
    """
    profile = profile_in(text, vgpu=device is not None)
    if profile is None:
        return None
    base = device or Device("a card", "cuda")
    size = profile.gb * GIB
    share = min(1.0, size / base.total) if base.total else 1.0
    seen = round(seen_gib(base.name, profile) * GIB) if profile.mig else seen_by_driver(size)
    cores = core_share(base.name, profile) if profile.mig else share
    return replace(
        base,
        name=f"{base.name} {profile.text}",
        total=min(seen, base.total or seen),
        bandwidth=base.bandwidth * share,
        tensor_tflops=base.tensor_tflops * cores,
        sliced=profile.mig,
    )


def doubt_about(device: Device | None, text: str) -> str:
    """Return why a text does not say how much of a card there is; empty where it does.

    A part that a card does not have is a slip; a laptop's card of a name has less than the desktop's.
    """
    if re.match(r"\s*0+\s*[x\u00d7*]", text):
        return "names no card; say how many, as '2x RTX 4090'"
    profile = profile_in(text)
    if profile is None and re.search(r"\bmig\b", text, re.IGNORECASE):
        return "is in MIG mode; name the profile, as '1g.10gb'"
    if profile and device and device.kind == "cuda" and profile.mig and not profiles_of(device.name):
        return "has no MIG; name the whole card"
    if profile and not has_part(device.name if device else "", device.total if device else None, profile):
        known = ", ".join(profiles_of(device.name)) if device and profile.mig else ""
        fix = f"it has {known}" if known else "see nvidia-smi mig -lgip"
        return f"has no part {profile.text}; {fix}"
    if device and profile is None and _MOBILE.search(text) and memory_in(text) is None:
        return "is a laptop's card; say its memory, as 'RTX 4090 Laptop 16 GB'"
    return ""


def device_names() -> list[str]:
    """Return the names of all known devices."""
    return [str(entry["name"]) for key in ("gpus", "systems", "cpus") for entry in knowledge("hardware")[key]]


def near_devices(text: str) -> list[str]:
    """Return the names of known devices that look like one, with or without their makers' names."""
    short = {
        re.sub(r"^(geforce|radeon|tesla|quadro|apple|intel|amd) ", "", n.lower()): n for n in device_names()
    }
    every = short | {name.lower(): name for name in device_names()}
    asked = re.sub(r"^(nvidia|amd|intel)?[ -]*(geforce|radeon|tesla|quadro)? *", "", text.lower().strip())
    return list(dict.fromkeys(every[n] for n in get_close_matches(asked, every, n=3, cutoff=0.4)))


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


def _score(entry: _Entry, at: int, words: list[str]) -> tuple[int, int, int, int, int]:
    after = words[at + len(entry.tokens) : at + len(entry.tokens) + 4]
    said = next((int(w) for w, unit in pairwise(after) if w.isdigit() and unit.startswith("g")), 0)
    size = entry.size or int(entry.fields.get("memory_gb", 0))
    right_size = 1 if said and said == size else 0
    form = len({w[:3] for w in entry.forms} & {w[:3] for w in after})
    # A bare "H100" is the SXM one that clouds rent out.
    usual = 1 if not form and any(f.startswith("sxm") for f in entry.forms) and "h100" in entry.tokens else 0
    # A few were sold with less, or with more, than what people mean who do not say how much.
    return right_size, form, usual, 0 if entry.fields.get("rare") else 1, -size


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
