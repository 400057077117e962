"""Says over HTTP whether the operator works: alive while passes are begun, ready while they succeed."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from aiplat.services.pages import Said, serve_pages

# A pass asks the API a few dozen questions of at most 25 s each; longer than this, and it hangs.
_LONGEST_PASS_SECONDS = 300.0


@dataclass
class Pulse:
    """When a pass was last begun, and whether the last one succeeded."""

    begun: float = field(default_factory=time.monotonic)
    good: bool = False

    @property
    def alive(self) -> bool:
        """Whether a pass was begun lately."""
        return time.monotonic() - self.begun < _LONGEST_PASS_SECONDS


def health_port(pulse: Pulse, port: int, host: str = "") -> AbstractAsyncContextManager[int]:
    """Answer `/healthz` and `/readyz` with 200 or 503 in the block; on every address unless one is named.

    Raises:
        OSError: nobody can listen there.
    """

    def said(well: bool) -> Said:
        return (200, b"ok\n") if well else (503, b"no\n")

    return serve_pages(
        host, port, {"/healthz": lambda: said(pulse.alive), "/readyz": lambda: said(pulse.good)}
    )
