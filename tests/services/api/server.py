"""The API as a process for tests to kill: all of it is the product's, but the runner is the tests' own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiplat.services.api import serve
from aiplat.services.api.launch import Launcher
from aiplat.services.api.settings import parse

RUNNER = (sys.executable, "-m", "tests.services.api.runner")


class _TestLauncher(Launcher):
    def __init__(self, site_file: Path) -> None:
        super().__init__(site_file, RUNNER)


if __name__ == "__main__":
    serve.Launcher = _TestLauncher  # type: ignore[misc]
    asyncio.run(serve.run(parse(sys.argv[1:])))
