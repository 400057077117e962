"""What is known of GPU generations, Xid numbers and messages, read from the files beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

HERE = Path(__file__).parent


@dataclass(frozen=True)
class GpuGeneration:
    """A GPU generation: the driver branches that take it and the kernel module flavour it needs."""

    name: str
    first: int
    last: int | None
    modules: str
    pci: tuple[tuple[int, int], ...]
    chips: re.Pattern[str]
    names: re.Pattern[str]


@dataclass(frozen=True)
class XidMeaning:
    """What an Xid number says: its kind decides, its meaning is reported."""

    kind: str
    means: str


@dataclass(frozen=True)
class VerdictText:
    """A verdict's sentences; `explains` names verdicts that follow from it when both are seen."""

    cause: str
    fix: str
    explains: frozenset[str]


def _data(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(HERE / name)


@cache
def architectures() -> tuple[GpuGeneration, ...]:
    """Return the known generations, oldest first."""
    return tuple(_architecture(entry) for entry in _data("architectures.yaml")["architectures"])


def _architecture(entry: dict[str, Any]) -> GpuGeneration:
    return GpuGeneration(
        name=entry["name"],
        first=entry.get("first", 0),
        last=entry.get("last"),
        modules=entry["modules"],
        pci=tuple((int(str(low), 16), int(str(high), 16)) for low, high in entry["pci"]),
        chips=_any_of(entry["chips"]),
        names=_any_of(entry["names"]),
    )


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


def by_device_id(device_id: str) -> GpuGeneration | None:
    """Return the generation of a PCI device id such as `2330`, None where the number is not known."""
    number = int(device_id, 16)
    return next((a for a in architectures() if any(low <= number <= high for low, high in a.pci)), None)


def by_name(text: str) -> GpuGeneration | None:
    """Return the generation of a card by its chip or marketing name, None where the name does not say."""
    by_chip = next((a for a in architectures() if a.chips.search(text)), None)
    return by_chip or next((a for a in reversed(architectures()) if a.names.search(text)), None)


@cache
def switched() -> re.Pattern[str]:
    """Return the pattern of names of cards that sit on a board with NVSwitches."""
    return _any_of(_data("architectures.yaml")["switched"])


@dataclass(frozen=True)
class Unbuilt:
    """A driver that does not build for a kernel and later ones; `until` is the branch's last such release."""

    branch: int
    kernel: tuple[int, ...]
    until: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """What is done about a verdict: actions (`newer`: only with a newer driver), or whose matter it is."""

    do: tuple[str, ...]
    newer: bool
    person: bool
    elsewhere: str


@cache
def owners() -> dict[str, dict[str, re.Pattern[str]]]:
    """Return who else may provide a host's driver, and what its system, kernel or cards are called then."""
    return {
        owner: {what: re.compile(pattern, re.IGNORECASE) for what, pattern in patterns.items()}
        for owner, patterns in _data("drivers.yaml")["owners"].items()
    }


@cache
def unbuilt() -> tuple[Unbuilt, ...]:
    """Return the drivers that are known not to build for some kernels."""
    entries = _data("drivers.yaml")["unbuilt"]
    return tuple(Unbuilt(e["branch"], numbers(e["kernel"]), numbers(e.get("until", ""))) for e in entries)


@cache
def enrol_key() -> str:
    """Return what a person does at the console where Secure Boot is on: no program can, by design."""
    words: str = _data("drivers.yaml")["enrolKey"]
    return words.strip()


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, without what a distribution adds."""
    begins = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in begins[0].split(".")) if begins else ()


@cache
def answers() -> dict[str, Answer]:
    """Return what is done about each verdict."""
    return {
        name: Answer(
            do=tuple(entry.get("do", ())),
            newer=bool(entry.get("newer")),
            person=bool(entry.get("person")),
            elsewhere=entry.get("elsewhere", ""),
        )
        for name, entry in _data("answers.yaml").items()
    }


@cache
def cuda_branches() -> dict[int, int]:
    """Return the first driver branch for each major version of CUDA."""
    return {int(major): branch for major, branch in _data("architectures.yaml")["cuda"].items()}


@cache
def xids() -> dict[int, XidMeaning]:
    """Return what Xid numbers mean."""
    return {number: XidMeaning(**entry) for number, entry in _data("xids.yaml")["xids"].items()}


@cache
def statements() -> dict[str, tuple[str, ...]]:
    """Return what programs say about GPUs: statements by name, with their wordings as regular expressions."""
    files = sorted((HERE / "statements").glob("*.yaml"))
    return {name: tuple(words) for file in files for name, words in _data(f"statements/{file.name}").items()}


@cache
def verdicts() -> dict[str, VerdictText]:
    """Return the sentences of every verdict."""
    return {
        name: VerdictText(entry["cause"], entry["fix"], frozenset(entry.get("explains", ())))
        for name, entry in _data("verdicts.yaml").items()
    }


@cache
def words_of_trouble() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the pattern of words that no healthy host prints, and of passages where they mean nothing."""
    words = _data("trouble.yaml")
    return _any_of(words["trouble"]), _any_of(words["harmless"])
