"""What MIG makes of cards: their profiles and how many instances fit; what a site asks is in the rules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ruamel.yaml import YAML

from aiplat.shipped import shipped


@dataclass(frozen=True)
class MigCard:
    """A kind of card that can be parted; `compute` and `memory` are how many slices of each it has."""

    name: str
    match: str
    gigabytes: int
    compute: int
    memory: int
    profiles: Mapping[str, int]
    """Profile → how many instances of it fit on one card."""
    seen: Mapping[str, float]
    """Profile → the GiB that a program sees of an instance."""

    def layout(self, wanted: str | Mapping[str, int]) -> dict[str, int]:
        """Return instances by profile; of one profile alone as many as fit.

        Raises:
            KeyError: the card has no such profile.
        """
        return {wanted: self.profiles[wanted]} if isinstance(wanted, str) else dict(wanted)

    def too_much(self, layout: Mapping[str, int]) -> str:
        """Return why instances do not fit on one card together, or nothing where they do."""
        for profile, number in layout.items():
            if number > self.profiles[profile]:
                return f"one {self.name} has room for {self.profiles[profile]} of {profile}"
        compute = sum(number * int(profile[0]) for profile, number in layout.items())
        memory = sum(number * self._memory_slices(profile) for profile, number in layout.items())
        if compute > self.compute:
            return f"they take {compute} compute slices, and one {self.name} has {self.compute}"
        if memory > self.memory:
            return f"they take {memory} memory slices, and one {self.name} has {self.memory}"
        return ""

    def _memory_slices(self, profile: str) -> int:
        gigabytes = int(re.sub(r".*\.(\d+)gb.*", r"\1", profile))
        return round(gigabytes / self.gigabytes * self.memory)


def mig_card(name: str) -> MigCard | None:
    """Return the kind of card that a GPU's name means, or None where a site cannot part it."""
    card = known_mig_card(name)
    return card if card and card.compute else None


def known_mig_card(name: str) -> MigCard | None:
    """Return the same, also where only its profiles are known and not how many of them fit."""
    return next((card for card in mig_cards() if re.search(card.match, name, re.IGNORECASE)), None)


def layout_on(gpus: Sequence[str], wanted: str | Mapping[str, int] | None) -> dict[str, int]:
    """Return the MIG instances of each of a host's cards, by profile; empty where none are wanted."""
    card = mig_card(gpus[0]) if gpus else None
    return card.layout(wanted) if card and wanted else {}


def mig_names() -> list[str]:
    """Return the kinds of cards that a site can part."""
    return [card.name for card in mig_cards() if card.compute]


@cache
def mig_cards() -> tuple[MigCard, ...]:
    """Return every kind of card whose profiles are known."""
    path = shipped("charts/resource/gpu-operator/mig.yaml")
    document = YAML(typ="safe", pure=True).load(path)
    return tuple(_card(one) for one in document["cards"])


def _card(said: Mapping[str, Any]) -> MigCard:
    compute, memory = said.get("slices", (0, 0))
    profiles = {name: number for name, (number, _) in said["profiles"].items()}
    seen = {name: gib for name, (_, gib) in said["profiles"].items()}
    return MigCard(said["card"], said["match"], said.get("memory", 0), compute, memory, profiles, seen)
