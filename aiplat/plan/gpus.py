"""What a bundle offers hosts with GPUs, and what is decided with that; deciding itself is aiplat.gpu's."""

from __future__ import annotations

from collections.abc import Iterable

from aiplat.catalog.versions import from_versions_yaml
from aiplat.gpu.choice import DriverOffer
from aiplat.gpu.decision import Decision, decide
from aiplat.gpu.facts import Fact
from aiplat.gpu.host import host_of
from aiplat.gpu.signals.all import read_signals

DRIVER = "nvidia.driver"


def usual_offer() -> DriverOffer:
    """Return what any bundle of this version can have for a host."""
    return DriverOffer(branch=int(from_versions_yaml(DRIVER)))


def decision_on(verdict: str, facts: Iterable[Fact]) -> Decision:
    """Return what is to be done about a verdict on a host, with what any bundle can have."""
    return decide(verdict, host_of(read_signals(facts)), usual_offer())
