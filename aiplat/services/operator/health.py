"""Says over HTTP whether the operator works: alive while passes are begun, ready while they succeed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

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


@contextlib.asynccontextmanager
async def health_port(pulse: Pulse, port: int) -> AsyncIterator[None]:
    """Answer `/healthz` and `/readyz` with 200 or 503 while the block runs."""

    async def answer(request: web.Request) -> web.Response:
        well = pulse.alive if request.path == "/healthz" else pulse.good
        return web.Response(status=200 if well else 503, text="ok\n" if well else "no\n")

    app = web.Application()
    app.add_routes([web.get("/healthz", answer), web.get("/readyz", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
