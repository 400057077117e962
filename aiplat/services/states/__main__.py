"""`python -m aiplat.services.states`: kube-state-metrics' series and arguments, where that cannot be had."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiplat.cluster.raw import RawObjects
from aiplat.services.background import Task, exit_code_of, in_background
from aiplat.services.pages import Said, serve_pages
from aiplat.services.states.look import KINDS, StatesSeen, look

# States change by the second, alerts of them come by the minute.
_PAUSE_SECONDS = 10.0
_READER = "aiplat-states"


@dataclass(frozen=True)
class StatesSettings:
    """What is read, and where it is served."""

    port: int
    resources: tuple[str, ...]
    kubeconfig: Path | None


def _resources(text: str) -> tuple[str, ...]:
    unknown = [name for name in text.split(",") if name not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return tuple(name for name in KINDS if name in text.split(","))


def parse(arguments: list[str]) -> StatesSettings:
    """Return the settings of a command line; prints what is wrong and exits 2 where it is."""
    parser = argparse.ArgumentParser(
        prog="aiplat-states", description="Serves states of a cluster's objects on /metrics."
    )
    parser.add_argument("--port", type=int, default=8080, help="(%(default)s)")
    parser.add_argument(
        "--resources", type=_resources, default=tuple(KINDS), metavar="NAME,…", help=f"of {','.join(KINDS)}"
    )
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="outside of a cluster")
    return StatesSettings(**vars(parser.parse_args(arguments)))


async def run(
    settings: StatesSettings, host: str = "", ready: Callable[[int], None] = lambda _: None
) -> None:
    """Look and serve until SIGTERM or SIGINT; `ready` is told the port, which differs where 0 was asked for.

    Raises:
        AiplatError, OSError: there is no cluster to look at, or nobody can listen there.
    """
    objects = (
        RawObjects.of_kubeconfig(settings.kubeconfig, _READER)
        if settings.kubeconfig
        else RawObjects.in_cluster(_READER)
    )
    seen = StatesSeen()

    async def looks() -> None:
        while True:
            await asyncio.to_thread(look, objects, settings.resources, seen)
            await asyncio.sleep(_PAUSE_SECONDS)

    def health() -> Said:
        return (200, b"ok\n") if seen.alive else (503, b"no\n")

    pages = {"/metrics": lambda: (200 if seen.text else 503, seen.text), "/healthz": health}
    async with (
        serve_pages(host, settings.port, pages) as port,
        in_background(Task("looking at the cluster", looks), lambda _: None),
    ):
        ready(port)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()


def main() -> int:
    """Serve; returns the exit code: 0 after a signal, 2 for what cannot be worked with."""
    return exit_code_of("aiplat.states", run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
