"""Parts of a card by the names of drivers, node labels and hypervisors; whole cards are devices'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiplat.site.mig import known_mig_card, mig_cards

# Profiles as nvidia-smi, node labels and hypervisors write them: MIG 1g.10gb (also 1g.10gb+me, and
# 1c.3g.20gb with some of its cores), A100-10C, A100-1-5CME.
_MIG = re.compile(
    r"(?<![\w.])(?:\dc\.)?(?P<cores>\d)g[. -]{1,2}(?P<gb>\d{1,3})gb(?:[+-](?:me|gfx)[a-z.]*)?", re.IGNORECASE
)
_VGPU = re.compile(r"-(?P<gb>\d{1,3})[CQAB](?:ME)?\d?\b", re.IGNORECASE)
# Of cards whose profiles are not listed: what a name's GiB are in truth, and the largest share of a card.
_SEEN, _LARGEST_SHARE = 0.88, {1: 1 / 4, 2: 1 / 2, 3: 1 / 2}
_FEWEST_CORES = 7


@dataclass(frozen=True)
class Profile:
    """A part of a card as it is named: GiB by its name, and for MIG how many of the card's compute slices."""

    text: str
    gb: int
    cores: int | None = None

    @property
    def mig(self) -> bool:
        """Whether it is a MIG instance; else a hypervisor's share."""
        return self.cores is not None

    @property
    def name(self) -> str:
        """Its bare name, as cards' profiles are listed."""
        return f"{self.cores}g.{self.gb}gb"


def profile_in(text: str, *, vgpu: bool = True) -> Profile | None:
    """Return the profile that a text names, None where it names none."""
    if found := _MIG.search(text):
        return Profile(found[0], int(found["gb"]), int(found["cores"]))
    share = _VGPU.search(text) if vgpu else None
    return Profile(share[0].lstrip("-"), int(share["gb"])) if share else None


def profiles_of(card: str) -> Mapping[str, float]:
    """Return a card's MIG profiles with the GiB that a program sees of each; empty: none are known."""
    known = known_mig_card(card)
    return known.seen if known else {}


def has_part(card: str, total: int | None, profile: Profile) -> bool:
    """Whether a card of this name and memory has such a part, as far as that is known."""
    if profile.mig and (known := profiles_of(card)):
        return profile.name in known
    if not total:
        return True
    share = profile.gb * (1 << 30) / total
    if not profile.mig:
        return share <= 1.1
    return bool(profile.cores) and share <= 1.1 * _LARGEST_SHARE.get(profile.cores or 0, 1)


def seen_gib(card: str, profile: Profile) -> float:
    """Return the GiB that a program sees of a MIG instance; without a known card the least of all cards."""
    every = [profiles_of(card)] if profiles_of(card) else [one.seen for one in mig_cards()]
    sizes = [known[profile.name] for known in every if profile.name in known]
    return min(sizes, default=profile.gb * _SEEN)


def core_share(card: str, profile: Profile) -> float:
    """Return the share of a card's cores that a MIG instance has: sevenths, quarters or halves."""
    most = max((int(name.partition("g")[0]) for name in profiles_of(card)), default=_FEWEST_CORES)
    return min(1.0, (profile.cores or most) / most)
