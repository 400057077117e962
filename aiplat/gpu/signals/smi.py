"""What nvidia-smi and nvidia-container-cli say about driver and cards; why they fail is for other sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aiplat.gpu.facts import Evidence, Fact

VERSION = r"(\d{2,3}\.\d+(?:\.\d+)?)"
_HEADER = re.compile(
    rf"NVIDIA-SMI {VERSION}.{{0,80}}?(?:Driver|KMD) Version:\s*(?:{VERSION}|N/A)", re.IGNORECASE
)
_KMD = re.compile(rf"^\s*(?:DRIVER|KMD|NVRM)\s+version\s*:\s*{VERSION}", re.IGNORECASE | re.MULTILINE)
_NVML = re.compile(rf"^\s*NVML(?: library)? version\s*:\s*{VERSION}", re.IGNORECASE | re.MULTILINE)
_LISTED = re.compile(r"^\s*GPU (\d+): (.+?) \(UUID: GPU-", re.IGNORECASE)
_ROW = re.compile(
    r"\|\s{0,8}(\d+)\s+(\S.{0,60}?)\s+(?:On|Off|N/A)\s{0,20}\|\s{0,20}(?:([0-9a-f]{4,8}:[0-9a-f:.]+)\s+\S+|N/A\s+\S+)\s*\|",
    re.IGNORECASE,
)
_QUERIED = re.compile(r"^(?:\d+,\s*)?((?:NVIDIA|Tesla|Quadro|GeForce|GRID) [^,]+),\s*\S", re.IGNORECASE)
_MODEL = re.compile(r"^\s*(?:Model|Product Name)\s*:\s*(.+)$", re.IGNORECASE)
_DEVICE_COUNT = re.compile(r"^\s*Attached GPUs\s*:\s*(\d+)", re.IGNORECASE)
_MIG_DEVICE = re.compile(r"^\s*MIG (\d+)g\.\d+gb\S*\s+Device", re.IGNORECASE)
_FIELD = re.compile(r"^(\s*)([A-Za-z][\w /.()-]{0,80}?)\s*:\s+(\S.*?)\s*$")


@dataclass(frozen=True)
class Card:
    """A card that nvidia-smi or the container library lists."""

    index: str
    name: str
    evidence: Evidence


@dataclass(frozen=True)
class Field:
    """One `Name : value` of a long listing, with the headings it stands under."""

    path: str
    value: str
    evidence: Evidence


@dataclass(frozen=True)
class Smi:
    """What the driver's own tools report; versions are empty where they were not seen."""

    cards: tuple[Card, ...]
    fields: tuple[Field, ...]
    kernel_version: str
    nvml_version: str
    count: int
    mig_devices: int

    @property
    def names(self) -> str:
        """Return the names of all cards, one a line."""
        return "\n".join(card.name for card in self.cards)

    def values(self, pattern: str) -> tuple[Field, ...]:
        """Return the fields whose headings and name match a pattern."""
        return tuple(field for field in self.fields if re.search(pattern, field.path, re.IGNORECASE))


def read_smi(facts: Iterable[Fact]) -> Smi:
    """Return what the driver's own tools report in any of the facts."""
    known = tuple(facts)
    everything = "\n".join("\n".join(fact.lines) for fact in known)
    header = _HEADER.search(everything)
    kernel = (header[2] if header else "") or _first(_KMD, everything)  # in WSL it is that of Windows
    cards = tuple(_unique(card for fact in known for card in _cards(fact)))
    indexes = {card.index for card in cards if card.index}
    counts = [int(found) for found in _DEVICE_COUNT.findall(everything)]
    return Smi(
        cards=cards,
        fields=tuple(field for fact in known for field in _fields(fact)),
        kernel_version=kernel or "",
        nvml_version=_first(_NVML, everything),
        count=max([len(indexes) or len(cards), *counts]),
        mig_devices=sum(1 for line in everything.splitlines() if _MIG_DEVICE.match(line)),
    )


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _unique(cards: Iterable[Card]) -> Iterator[Card]:
    seen: set[str] = set()
    for card in cards:
        key = card.index or card.evidence.quote
        if key not in seen:
            seen.add(key)
            yield card


def _cards(fact: Fact) -> Iterator[Card]:
    for line in fact.lines:
        listed = _LISTED.match(line) or _ROW.search(line)
        if listed:
            yield Card(listed[1], listed[2], fact.evidence(line))
            continue
        named = _MODEL.match(line) or _QUERIED.match(line)
        if named:
            yield Card("", named[1].strip(), fact.evidence(line))


def _fields(fact: Fact) -> Iterator[Field]:
    """Yield the fields of an indented listing, and the cells of a CSV query as fields of its column names."""
    headings: list[tuple[int, str]] = []
    for line in fact.text.replace("\t", "    ").splitlines():
        match = _FIELD.match(line)
        indent = len(line) - len(line.lstrip())
        headings = [heading for heading in headings if heading[0] < indent]
        if match:
            path = " > ".join([name for _, name in headings] + [match[2]])
            yield Field(path, match[3], fact.evidence(" > ".join([path, match[3]])))
        elif line.strip() and len(line) < 100:
            headings.append((indent, line.strip().rstrip(":")))
    yield from _csv_fields(fact)


def _csv_fields(fact: Fact) -> Iterator[Field]:
    columns: list[str] = []
    for line in fact.lines:
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) > 1 and all(
            re.fullmatch(r"[a-z_]+(?:\.[a-z_]+)*(?: \[\w+\])?", cell) for cell in cells
        ):
            columns = cells
        elif columns and len(cells) == len(columns):
            for name, value in zip(columns, cells, strict=True):
                yield Field(name, value, fact.evidence(f"{name}: {value}"))
