"""What a plan consists of: buffers by device, the verdict and its reasons; engines fill it in."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiplat.fit.knowledge import GIB

FITS, TIGHT, NO, INCOMPLETE = "fits", "tight", "does not fit", "incomplete"


@dataclass
class DeviceLoad:
    """Bytes that an engine puts on one device."""

    device: str
    weights: float = 0
    kv: float = 0
    compute: float = 0
    overhead: float = 0
    """Contexts, libraries and pools that no log of the engine shows."""
    capacity: int | None = None

    @property
    def buffers(self) -> float:
        """Bytes of the buffers that the engine itself reports."""
        return self.weights + self.kv + self.compute

    @property
    def need(self) -> float:
        """All bytes, those no log shows included."""
        return self.buffers + self.overhead


@dataclass
class MemoryPlan:
    """Where a model's bytes go, and what comes of it."""

    loads: list[DeviceLoad]
    verdict: str = INCOMPLETE
    why: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    kv_tokens: int | None = None
    """Tokens of vLLM's pool; None for engines without one."""
    kv_pool: float | None = None
    reserved: float | None = None
    """Bytes vLLM takes of each device whatever the model needs."""
    context: int = 0
    uncertainty: float = 0.05
    """Share by which the need may be off."""
    assumed: tuple[str, ...] = ()

    def total(self, part: str) -> float:
        """Return the bytes of one part (`weights`, `kv`, `compute`, `buffers`, `need`) over all devices."""
        return float(sum(getattr(load, part) for load in self.loads))

    @property
    def fullest(self) -> DeviceLoad:
        """The device that is closest to its capacity."""
        return max(self.loads, key=lambda load: load.need / load.capacity if load.capacity else 0)


def gib(size: float) -> str:
    """Return bytes as people read them."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / (1 << 20):.0f} MiB"
