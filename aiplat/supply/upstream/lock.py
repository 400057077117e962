"""Pins a whole lock to what upstream has, and refuses what was exchanged there; writing it is not here."""

from __future__ import annotations

from collections.abc import Collection

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.errors import AiplatError, Finding
from aiplat.supply.all_at_once import of_each
from aiplat.supply.contract import DONE, SupplyProgress
from aiplat.supply.upstream.supply import UpstreamSupply


def pin_all(
    lock: Lock,
    earlier: Lock | None,
    supply: UpstreamSupply,
    told: SupplyProgress,
    update: Collection[str] = (),
) -> Lock:
    """Return `lock` with what upstream has for each artifact now.

    What `earlier` has pinned of the very same recipe must still be there under its name, but for the
    components in `update`: of those, what is there now is taken. What it knows beyond pins stays.

    Raises:
        AiplatError: something cannot be had, or was exchanged; all of it is named at once.
    """
    before = {_name(a): a for a in earlier.artifacts if a.pinned} if earlier else {}
    pinned = of_each(lock, supply, lambda artifact: _settled(_pin(artifact, supply, told), before, update))
    return lock.model_copy(update={"artifacts": tuple(pinned)})


def _pin(artifact: Artifact, supply: UpstreamSupply, told: SupplyProgress) -> Artifact:
    pinned = supply.pin(artifact, told)
    told(artifact, DONE, 0, 0)
    return pinned


def _settled(now: Artifact, before: dict[tuple[str, str], Artifact], update: Collection[str]) -> Artifact:
    """Return what the lock gets: what it had, if that is what is there still.

    Raises:
        AiplatError: upstream has something else under the same name.
    """
    had = before.get(_name(now))
    if had is None or now.component in update:
        return now
    if had.pinned == now.pinned and had.platforms == now.platforms:
        return had
    if had.pinned == now.pinned:
        return now
    problem = f"{now.source} is {now.pinned} now, and the lock has {had.pinned}"
    fix = f"ask its project why it was exchanged; to take it: aiplat lock --update {now.component}"
    raise AiplatError(Finding(now.label, problem, fix))


def _name(artifact: Artifact) -> tuple[str, str]:
    return artifact.label, artifact.inputs
