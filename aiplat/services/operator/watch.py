"""Runs passes: at once when kopf sees a Model, Team or node change, each second while something happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import kopf

from aiplat.errors import AiplatError
from aiplat.services.operator.health import Pulse
from aiplat.services.operator.reconcile import Outcome, Reconciler
from aiplat.services.operator.team_pass import TeamKeeper

_WATCHED = (
    ("aiplat.dev", "v1alpha1", "models"),
    ("aiplat.dev", "v1alpha1", "teams"),
    ("ollama.ayaka.io", "v1", "models"),
    ("", "v1", "nodes"),
)
_SOON, _RESYNC, _AFTER_ERROR = 1.0, 10.0, 2.0
_BUNDLED_CHANGES = 0.05

log = logging.getLogger("aiplat.operator")


def registry_of(changed: asyncio.Event, kubeconfig: Path | None) -> kopf.OperatorRegistry:
    """Return kopf's handlers, which only say that something changed: a pass looks at everything anyway.

    So kopf keeps no state in the objects and no finalizer on them: a Model can always be deleted.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        # The definitions come with the release that brings the operator; there is nothing to look out for.
        settings.scanning.disabled = True
        settings.watching.server_timeout = 300

    @kopf.on.login(registry=registry)
    def login(**context: Any) -> kopf.ConnectionInfo | None:
        return (
            kopf.login_with_kubeconfig(**context)
            if kubeconfig
            else kopf.login_with_service_account(**context)
        )

    for group, version, plural in _WATCHED:

        @kopf.on.event(group, version, plural, registry=registry, id=f"{plural}.{group}")
        async def note(**_: Any) -> None:
            changed.set()

    return registry


async def passes(reconcile: Callable[[], Outcome], changed: asyncio.Event, pulse: Pulse) -> None:
    """Do pass after pass until cancelled; one that fails is said and followed by another."""
    loop = asyncio.get_running_loop()
    while True:
        changed.clear()
        pulse.begun = loop.time()
        try:
            outcome = await asyncio.to_thread(reconcile)
            pulse.good = True
            pause = _RESYNC if outcome.settled and not outcome.scaled else _SOON
        except (AiplatError, OSError, ValueError, KeyError) as error:
            log.warning("a pass failed: %s: %s", type(error).__name__, error)
            pulse.good, pause = False, _AFTER_ERROR
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), pause)
        await asyncio.sleep(_BUNDLED_CHANGES)


async def watch(reconciler: Reconciler, keeper: TeamKeeper, pulse: Pulse, kubeconfig: Path | None) -> None:
    """Work until SIGTERM or SIGINT; a pass under way is finished first."""
    changed = asyncio.Event()

    def reconcile() -> Outcome:
        teams_settled = keeper.run()
        outcome = reconciler.run()
        return replace(outcome, settled=outcome.settled and teams_settled)

    working = asyncio.create_task(passes(reconcile, changed, pulse))
    try:
        await kopf.operator(registry=registry_of(changed, kubeconfig), clusterwide=True, standalone=True)
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
