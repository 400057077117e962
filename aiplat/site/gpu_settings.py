"""How a host's GPUs are used and shared, as site.yaml says it; what a card can is in aiplat.site.mig."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from aiplat.site.strict import Strict

FORMS = ("in words", "as a map")
"""Which of two forms a setting has; pydantic names the form where a value is wrong, and people need not."""
MOST_SHARES = 48
"""Clients that MPS lets share one card at most; time-slicing has no use for more either."""


def _form(value: object) -> str:
    return FORMS[isinstance(value, dict | BaseModel)]


_Count = Annotated[int, Field(ge=1, le=7, strict=True)]
MigLayout = Annotated[
    Annotated[str, Tag(FORMS[0])] | Annotated[dict[str, _Count], Tag(FORMS[1])], Discriminator(_form)
]


class GpuSharing(Strict):
    """How each GPU of a host is shared; one of the three ways, or none."""

    time_slicing: int | None = Field(default=None, ge=2, le=MOST_SHARES, alias="timeSlicing", strict=True)
    """Pods that take turns on each GPU; each sees all its memory, and nothing keeps them apart."""
    mps: int | None = Field(default=None, ge=2, le=MOST_SHARES, strict=True)
    """Pods that compute on each GPU at once; each is held to an equal part of its memory."""
    mig: MigLayout | None = None
    """MIG instances of each GPU: a profile (`1g.10gb`, as many as fit) or instances by profile."""

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways that are asked for, by their keys."""
        named = {"timeSlicing": self.time_slicing, "mps": self.mps, "mig": self.mig}
        return tuple(key for key, value in named.items() if value is not None)


class GpuSettings(Strict):
    """How a host's GPUs are used."""

    driver: Literal["bundle", "own"] = "bundle"
    """`bundle` installs the driver that the bundle has where one is needed, `own` leaves it to you."""
    modules: Literal["open", "proprietary"] = "open"
    """Its kernel modules: cards before Turing need `proprietary`, Blackwell needs `open`."""
    fabric_manager: bool = Field(default=False, alias="fabricManager", strict=True)
    """Whether the fabric manager is brought: boards with NVSwitches (HGX, DGX) do not work without it."""
    sharing: GpuSharing = GpuSharing()
    """How each GPU is shared; left out, a pod gets whole GPUs."""


GpuUse = Annotated[
    Annotated[Literal["auto", "none"], Tag(FORMS[0])] | Annotated[GpuSettings, Tag(FORMS[1])],
    Discriminator(_form),
]


def sharing_of(use: Any) -> GpuSharing:
    """Return how a host's GPUs are shared, whichever form its setting has."""
    return use.sharing if isinstance(use, GpuSettings) else GpuSharing()


def settings_of(use: Any) -> GpuSettings:
    """Return how a host's GPUs are used, whichever form its setting has."""
    return use if isinstance(use, GpuSettings) else GpuSettings()
