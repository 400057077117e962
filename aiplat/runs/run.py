"""One run from beginning to end: its lock, journal, watchdog and how it ends; what it does is given to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiplat.errors import EXIT_INTERRUPTED, AiplatError, Finding
from aiplat.fleet.ssh_config import runtime_dir
from aiplat.runs.events import Event, RunFinished, RunStarted, State, StepFailed, StepFinished, StepStarted
from aiplat.runs.journal import Journal, cut_off_run, new_run_id, one_run_at_a_time
from aiplat.runs.stop import StopRequest, stoppable
from aiplat.runs.watchdog import dies_with_this_process, end_processes_of

Listener = Callable[[Event], None]
"""Gets every event right after it was written down."""


class StoppedError(AiplatError):
    """The user stopped the run."""

    exit_code = EXIT_INTERRUPTED


class StepError(AiplatError):
    """A step of a run failed; its finding says on which host, why, and which command helps."""


class Run:
    """A run that is going on: where events go, what was changed, whether to stop."""

    def __init__(self, journal: Journal, listener: Listener, stop: StopRequest) -> None:
        self.id = journal.run_id
        self.stop = stop
        self.changed = 0
        self.notes: list[str] = []
        self.current_step = ""
        self.state: State = "done"
        self._journal = journal
        self._listener = listener

    def emit(self, event: Event) -> None:
        """Write an event down and show it."""
        self._listener(self._journal.append(event))

    @contextmanager
    def step(self, step: str, title: str, hosts: tuple[str, ...]) -> Iterator[None]:
        """Announce a step, and that it finished; what it changes is added to `changed` inside."""
        self.emit(StepStarted(step=step, title=title, hosts=hosts))
        self.current_step, before, began = step, self.changed, time.monotonic()
        yield
        self.emit(
            StepFinished(step=step, changed=self.changed - before, seconds=_since(began)),
        )
        self.current_step = ""


@contextmanager
def running(
    site: str, verb: str, listener: Listener, run_id: str | None = None, *, place: str = "the hosts"
) -> Iterator[Run]:
    """Hold the site's run lock on this machine, keep a journal and end whole whatever happens.

    What an earlier run that was cut off left alive is ended first. `run_id` is for who must know the id
    before the run begins; otherwise a new one is made. `place` is what it looks at and changes, in words.

    Raises:
        StoppedError: a signal asked to stop.
        AiplatError: another run is at work, or what the run does failed.
    """
    with one_run_at_a_time(site):
        earlier = cut_off_run(site)
        if earlier:
            end_processes_of(earlier[0].id)
        run_id = run_id or new_run_id()
        began = time.monotonic()
        private = runtime_dir() / f"run-{run_id}"
        # Whoever reads the journal may stop the run: that is answered before there is a journal.
        with stoppable(run_id) as stop, dies_with_this_process(run_id, private):
            journal = Journal(site, verb, run_id)
            run = Run(journal, listener, stop)
            after, after_step = (earlier[0].id, earlier[1]) if earlier else (None, None)
            run.emit(RunStarted(site=site, verb=verb, after=after, after_step=after_step, place=place))
            try:
                with stop.at_any_point():
                    yield run
            except KeyboardInterrupt:
                run.state = "interrupted"
                raise StoppedError(_interrupted(run)) from None
            except BaseException as error:
                run.state = "failed"
                _note_failure(run, error)
                raise
            finally:
                run.emit(RunFinished(state=run.state, changed=run.changed, seconds=_since(began)))
                journal.finish(run.state)


def _note_failure(run: Run, error: BaseException) -> None:
    findings = error.findings if isinstance(error, AiplatError) else (Finding("aiplat", repr(error)),)
    for finding in findings if run.current_step else ():
        run.emit(
            StepFailed(step=run.current_step, host=finding.where, cause=finding.problem, help=finding.fix)
        )


def _interrupted(run: Run) -> Finding:
    during = f" during {run.current_step}" if run.current_step else ""
    what_now = "the same command continues from what is there"
    return Finding(f"run {run.id}", f"interrupted{during}; {run.changed} changes were made", what_now)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
