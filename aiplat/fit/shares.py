"""What a host's cards are to one pod, by how the site shares them: names that `find_device` understands."""

from __future__ import annotations

from aiplat.fit.devices import find_device
from aiplat.fit.knowledge import MIB
from aiplat.site.mig import layout_on
from aiplat.site.models import Host


def devices_of(host: Host) -> tuple[str, ...]:
    """Return the devices that pods of a host may have, one name each: cards, shares or MIG instances."""
    cards, sharing = host.hardware.gpus, host.sharing
    if sharing.mig:
        layout = layout_on(cards, sharing.mig)
        return tuple(f"{card} {profile}" for card in cards for profile, n in layout.items() for _ in range(n))
    # With time-slicing a pod sees the whole card, and what the others have of it is their matter.
    return tuple(_held(card, sharing.mps) for card in cards) if sharing.mps else cards


def _held(card: str, clients: int) -> str:
    """Return a card of which MPS lets a client have an equal part of the memory."""
    device = find_device(card)
    return f"{card} {device.total // clients // MIB}MiB" if device and device.total else card
