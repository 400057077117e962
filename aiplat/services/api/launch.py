"""Starts runs as processes of their own and says how they stand; what a run does is aiplat.actions' matter.

A run must outlive whoever asked for it: the process is in a session of its own, writes its journal itself,
and everything the API knows about it lies in the run's folder. An API that is killed forgets nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import Field

from aiplat.content import write_atomic
from aiplat.errors import AiplatError, Finding
from aiplat.runs.history import RUN_ID, find_run, is_at_work
from aiplat.runs.journal import Moment, RunRecord, now, runs_dir
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import CONFLICT, RUN_AT_WORK, RUN_REFUSED, ApiProblem, not_found
from aiplat.state import private_dir

AIPLAT = (sys.executable, "-c", "from aiplat.cli.main import main; main()")
"""The command line, also where no `aiplat` is on PATH."""

RunState = Literal["starting", "running", "done", "failed", "interrupted", "declined", "cut_off"]
GOING_ON: frozenset[RunState] = frozenset({"starting", "running"})
_REQUEST = "request.json"
_SAID = "said.txt"
# A run begins within a second, except where it makes a lab's hosts first.
_BEGIN_SECONDS = 15.0
_LOOK_SECONDS = 0.05


class Asked(Document):
    """runs/<id>/request.json: who asked the API for the run, and for which plan."""

    plan_digest: str
    by: str
    at: Moment
    pid: int = 0


class RunView(Document):
    """A run and how it stands; `cut_off` ended without saying so, and the next one continues from the hosts.

    `said` is what the process wrote for people, where the run failed: findings, one a line.
    """

    id: str = Field(examples=["20260102T030405Z-0a1b2c"])
    site: str
    verb: str
    state: RunState
    started: str
    finished: str | None = None
    plan_digest: str | None = Field(default=None, description="The plan the API was asked to apply.")
    asked_by: str | None = Field(default=None, description="The id of the key that asked for it.")
    said: tuple[str, ...] = ()


class Launcher:
    """Starts the runs of one site file; `command` is what runs `aiplat`."""

    def __init__(self, site_file: Path, command: Sequence[str] = AIPLAT) -> None:
        self._site_file = site_file
        self._command = tuple(command)
        self._starting = threading.Lock()

    def start(self, site: str, run_id: str, plan_digest: str, by: str) -> RunView:
        """Start a run that carries out one plan and refuses any other; return it when it began.

        A run that first makes a lab's hosts begins later: it is `starting` until then.

        Raises:
            ApiProblem: another run is at work, or the process ended before its run began.
        """
        with self._starting:
            refuse_beside_another(site)
            folder = private_dir(runs_dir(site) / run_id)
            asked = Asked(plan_digest=plan_digest, by=by, at=now())
            _write(folder, asked)
            process = self._spawn(folder, run_id, plan_digest)
            _write(folder, asked.model_copy(update={"at": now(), "pid": process.pid}))
            threading.Thread(target=process.wait, daemon=True).start()
            return _wait_until_it_began(site, run_id, process)

    def _spawn(self, folder: Path, run_id: str, plan_digest: str) -> subprocess.Popen[bytes]:
        verb = ["bootstrap", str(self._site_file), "--yes", "--json"]
        said = os.open(folder / _SAID, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                [*self._command, *verb, "--plan", plan_digest, "--run-id", run_id],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
                env={**os.environ, "NO_COLOR": "1"},
            )
        finally:
            os.close(said)


def refuse_beside_another(site: str) -> None:
    """Refuse where a run of the site is at work; the run itself asks again, under its lock."""
    for newest in list_views(site, limit=1):
        if newest.state in GOING_ON:
            what_now = "wait until it ends, or stop it"
            raise ApiProblem(
                RUN_AT_WORK, Finding(f"run {newest.id}", f"({newest.verb}) is at work", what_now)
            )


def _wait_until_it_began(site: str, run_id: str, process: subprocess.Popen[bytes]) -> RunView:
    deadline = time.monotonic() + _BEGIN_SECONDS
    while find_run(site, run_id) is None and time.monotonic() < deadline:
        if process.poll() is not None and find_run(site, run_id) is None:
            said = _said(runs_dir(site) / run_id) or ("it said nothing",)
            raise ApiProblem(RUN_REFUSED, [Finding(f"run {run_id}", line) for line in said])
        time.sleep(_LOOK_SECONDS)
    return view_run(site, run_id)


def view_run(site: str, run_id: str) -> RunView:
    """Return a run of the site.

    Raises:
        ApiProblem: there is no such run.
    """
    view = _known(site, run_id) if RUN_ID.fullmatch(run_id) else None
    if view is None:
        raise not_found(f"run {run_id}", "/api/v1/runs")
    return view


def _known(site: str, run_id: str) -> RunView | None:
    asked, record = _asked(runs_dir(site) / run_id), find_run(site, run_id)
    if record is None and asked is None:
        return None
    state = _state(run_id, record, asked)
    return RunView(
        id=run_id,
        site=site,
        verb=record.verb if record else "bootstrap",
        state=state,
        started=record.started if record else asked.at if asked else "",
        finished=record.finished if record else None,
        plan_digest=asked.plan_digest if asked else None,
        asked_by=asked.by if asked else None,
        said=_said(runs_dir(site) / run_id) if state in {"failed", "interrupted", "cut_off"} else (),
    )


def _state(run_id: str, record: RunRecord | None, asked: Asked | None) -> RunState:
    if record is None:
        return "starting" if asked and _is_alive(run_id, asked) else "failed"
    return "cut_off" if record.state == "running" and not is_at_work(record) else record.state


def _is_alive(run_id: str, asked: Asked) -> bool:
    # Read as a run's record, a request is one that began when it was asked for.
    return is_at_work(
        RunRecord(
            id=run_id,
            site="",
            verb="",
            state="running",
            started=asked.at,
            host=os.uname().nodename,
            pid=asked.pid,
        )
    )


def list_views(site: str, limit: int, before: str | None = None) -> list[RunView]:
    """Return the newest runs of the site, those before run `before` where that is given."""
    names = (f.name for f in runs_dir(site).iterdir() if RUN_ID.fullmatch(f.name))
    older = sorted((name for name in names if before is None or name < before), reverse=True)
    views = (view for name in older if (view := _known(site, name)))
    return list(islice(views, limit))


def stop_run(site: str, run_id: str) -> RunView:
    """Ask a run to stop at its next safe point, as Ctrl-C does, and return it.

    Raises:
        ApiProblem: there is no such run, or it is over, or another machine makes it.
        AiplatError: its process belongs to somebody else.
    """
    view, record = view_run(site, run_id), find_run(site, run_id)
    if record is None or not is_at_work(record):
        raise ApiProblem(CONFLICT, Finding(f"run {run_id}", f"is {view.state}", "there is nothing to stop"))
    if record.host != os.uname().nodename:
        raise ApiProblem(CONFLICT, Finding(f"run {run_id}", f"is made on {record.host}", "stop it there"))
    try:
        _interrupt(record)
    except ProcessLookupError:
        raise ApiProblem(CONFLICT, Finding(f"run {run_id}", "is over", "there is nothing to stop")) from None
    except PermissionError as error:
        raise AiplatError(
            Finding(f"run {run_id}", "belongs to another user", "stop it as that user")
        ) from error
    return view


def _interrupt(record: RunRecord) -> None:
    # A handle names the process: between looking and asking, its number could go to somebody else's.
    handle = os.pidfd_open(record.pid)
    try:
        if is_at_work(record):
            signal.pidfd_send_signal(handle, signal.SIGINT)
    finally:
        os.close(handle)


def _write(folder: Path, asked: Asked) -> None:
    write_atomic(folder / _REQUEST, asked.model_dump_json(by_alias=True).encode(), 0o600)


def _asked(folder: Path) -> Asked | None:
    try:
        return Asked.model_validate_json((folder / _REQUEST).read_bytes())
    except (OSError, ValueError):
        return None


def _said(folder: Path) -> tuple[str, ...]:
    try:
        text = (folder / _SAID).read_text(errors="replace")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())[-20:]
