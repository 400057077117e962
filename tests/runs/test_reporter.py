"""The site hears of runs: live, again after it was away, and never at a run's expense."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.cluster.raw import RawObjects
from aiplat.cluster.run_reports import KEPT, MOST_BYTES, ReportShelf, RunReport, fitting
from aiplat.errors import AiplatError, Finding
from aiplat.runs import reporter as module
from aiplat.runs.events import (
    Event,
    PlanMade,
    Progress,
    RunFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepStarted,
    TaskDone,
)
from aiplat.runs.journal import Journal, runs_dir
from aiplat.runs.report import TASKS, RunSoFar, report_of
from aiplat.runs.reporter import Reporter
from aiplat.runs.run import Run, StepError, running
from tests.cluster.kube import Kube
from tests.patience import PATIENCE, eventually

SITE, NAMESPACE = "ward-3", "aiplat-user-serving"
PLAN = {
    "steps": [
        {"id": "stage", "title": "Stage content", "hosts": ["s1"], "reason": {"s1": "3 blobs are missing"}},
        {
            "id": "k3s_server",
            "title": "Run Kubernetes",
            "hosts": ["s1"],
            "reason": {"s1": "version differs"},
            "restarts": ["k3s on s1"],
        },
    ]
}
EVENTS: tuple[Event, ...] = (
    RunStarted(site=SITE, verb="bootstrap", after="20260101T000000Z-000000", after_step="stage"),
    PlanMade(digest="sha256:0", plan=PLAN),
    StepStarted(step="stage", title="Stage content", hosts=("s1",)),
    Progress(step="stage", host="s1", done=10, total=40),
    StepFinished(step="stage", changed=3, seconds=2.5),
    StepStarted(step="k3s_server"),
    TaskDone(step="k3s_server", host="s1", task="Write the unit", changed=True, notes=("it is new",)),
    TaskDone(step="k3s_server", host="s1", task="Read the unit", changed=False),
    TaskDone(step="k3s_server", host="s1", task="Write the token", changed=None),
    StepFailed(step="k3s_server", host="k3s_server on s1", cause="port 6443 is taken", help="free it"),
    RunFinished(state="failed", changed=4, seconds=9.0),
)


@pytest.fixture
def kube() -> Iterator[Kube]:
    """An empty cluster."""
    with Kube() as kube:
        yield kube


@pytest.fixture
def shelf(kube: Kube, tmp_path: Path) -> ReportShelf:
    """The reports in that cluster."""
    kube.write_kubeconfig(tmp_path / "kubeconfig")
    return ReportShelf(RawObjects.of_kubeconfig(tmp_path / "kubeconfig", "tester"), NAMESPACE)


def told(events: tuple[Event, ...], name: str = "") -> RunReport:
    """Return the report of a run with these events, written down first."""
    journal, so_far = Journal(SITE, "bootstrap", name or None), RunSoFar("desk")
    for event in events:
        so_far.see(journal.append(event))
    journal.finish("failed")
    return so_far.report()


def known(shelf: ReportShelf) -> dict[str, str]:
    """Return how each run stands that the site knows of."""
    return {kept.report.id: kept.report.state for kept in shelf.listed()}


def test_a_report_says_what_is_done_why_and_what_went_wrong() -> None:
    """Steps of the plan with their reasons, those that ran with what they did, the cause with its help."""
    report = told(EVENTS)
    assert (report.verb, report.state, report.changed, report.after_step) == (
        "bootstrap",
        "failed",
        4,
        "stage",
    )
    stage, server = report.steps
    assert (stage.state, stage.changed, stage.seconds, stage.progress) == ("done", 3, 2.5, ())
    assert (server.state, server.reasons, server.restarts) == (
        "failed",
        {"s1": "version differs"},
        ("k3s on s1",),
    )
    assert [task.task for task in report.tasks] == ["Write the unit", "Write the token"]
    assert report.failures[0].help == "free it"
    assert report.notes == ("s1: it is new",)


def test_a_report_says_how_far_a_step_is() -> None:
    """On each host, until the step is done; what the plan has and nobody began is waiting."""
    report = told(EVENTS[:4])
    stage, server = report.steps
    assert (stage.state, server.state) == ("running", "waiting")
    assert (stage.progress[0].host, stage.progress[0].done, stage.progress[0].total) == ("s1", 10, 40)
    assert not report.over


def test_a_report_does_not_grow_with_the_run() -> None:
    """The newest changes are named, the others counted."""
    tasks = [TaskDone(step="x", host="s1", task=f"task {n}", changed=True) for n in range(TASKS + 5)]
    report = told((EVENTS[0], *tasks))
    assert report.changed == TASKS + 5
    assert [report.tasks[0].task, report.tasks[-1].task] == ["task 5", f"task {TASKS + 4}"]


@pytest.mark.parametrize("hosts", [1, 3000])
def test_a_report_that_is_too_large_loses_details_and_keeps_its_steps(hosts: int) -> None:
    """Whatever a site is like, it finds room."""
    reasons = {f"host-{n}": "something is not as it should be " * 5 for n in range(hosts)}
    step = {"id": "stage", "title": "t", "hosts": list(reasons), "reason": reasons}
    tasks = [TaskDone(step="stage", host="h", task="x" * 3000, changed=True) for _ in range(TASKS)]
    small = fitting(told((EVENTS[0], PlanMade(digest="", plan={"steps": [step]}), *tasks)))
    assert len(small.model_dump_json(exclude_defaults=True)) <= MOST_BYTES
    assert small.steps[0].changed == TASKS
    assert small.steps[0].reasons


def test_a_journal_tells_the_same_as_its_run_did() -> None:
    """One that has no end was cut off."""
    report = told(EVENTS)
    (folder,) = runs_dir(SITE).iterdir()
    record = Journal(SITE, "reset").record
    again = report_of(record.model_copy(update={"id": report.id, "state": "failed", "host": "desk"}), folder)
    same = {"heard": "", "verb": "", "started": ""}
    assert again.model_copy(update=same) == report.model_copy(update=same)
    assert report_of(record, runs_dir(SITE) / record.id).state == "cut_off"


def made(shelf: ReportShelf) -> str:
    """Make a run of which the site hears, and return its id."""
    with Reporter(SITE, lambda: shelf) as reporter, running(SITE, "bootstrap", reporter.see) as run:
        _do(run)
    return run.id


def _do(run: Run) -> None:
    run.emit(EVENTS[1])
    with run.step("stage", "Stage content", ("s1",)):
        run.changed += 3


def test_the_site_hears_of_a_run_while_it_is_made_and_of_its_end(shelf: ReportShelf) -> None:
    """It is running there too until it is over here."""
    with Reporter(SITE, lambda: shelf) as reporter, running(SITE, "bootstrap", reporter.see) as run:
        _do(run)
        eventually(lambda: [k.report.state for k in shelf.listed(at_work=True)] == ["running"])
    assert known(shelf) == {run.id: "done"}
    assert shelf.listed(at_work=True) == []
    assert [step.state for step in shelf.listed()[0].report.steps] == ["done", "waiting"]


def test_a_run_without_news_is_heard_of_again(shelf: ReportShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a page can tell a long task from a machine that went off."""
    monkeypatch.setattr(module, "_HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(module, "_LEAST_SECONDS", 0.0)
    with Reporter(SITE, lambda: shelf) as reporter, running(SITE, "bootstrap", reporter.see):
        eventually(lambda: bool(shelf.listed()))
        first = shelf.listed()[0].version
        eventually(lambda: shelf.listed()[0].version != first)


def test_what_the_site_could_not_hear_comes_with_the_next_run(shelf: ReportShelf, kube: Kube) -> None:
    """Also a run that was cut off; each once it is over, none twice."""
    kube.refuse = 503
    lost = made(shelf)
    cut_off = Journal(SITE, "bootstrap")
    cut_off.append(RunStarted(site=SITE, verb="bootstrap"))
    kube.refuse = 0
    heard = made(shelf)
    assert known(shelf) == {lost: "done", cut_off.run_id: "cut_off", heard: "done"}
    applied = kube.applied
    made(shelf)
    assert kube.applied - applied <= 4


def test_a_site_keeps_so_many_runs(shelf: ReportShelf, kube: Kube) -> None:
    """The oldest are forgotten, whichever machine made them."""
    report = told(EVENTS)
    others = [f"202501{day:02}T000000Z-00000{day % 10}" for day in range(1, KEPT + 4)]
    for name in others:
        shelf.put(report.model_copy(update={"id": name}))
    newest = made(shelf)
    assert len(known(shelf)) == KEPT
    assert newest in known(shelf)
    assert others[0] not in known(shelf)


def test_a_report_that_cannot_be_sent_fails_no_run(kube: Kube) -> None:
    """Whatever connecting comes to: no cluster yet, no way there, a fault of our own."""
    for fault in (AiplatError(Finding("site", "has no cluster")), OSError("no route"), KeyError("ours")):

        def connect(fault: Exception = fault) -> ReportShelf:
            raise fault

        with Reporter(SITE, connect) as reporter, running(SITE, "bootstrap", reporter.see) as run:
            _do(run)
        assert run.state == "done"


def test_a_run_does_not_wait_for_a_site_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while it is made, and at its end no longer than is fixed."""
    monkeypatch.setattr(module, "_LAST_SECONDS", 0.1)
    hold = threading.Event()

    def connect() -> ReportShelf:
        hold.wait(PATIENCE)
        raise AiplatError(Finding("site", "is silent"))

    began = time.monotonic()
    with Reporter(SITE, connect) as reporter, running(SITE, "bootstrap", reporter.see) as run:
        _do(run)
    hold.set()
    assert time.monotonic() - began < PATIENCE / 2
    assert run.state == "done"


def test_a_run_that_fails_does_so_as_it_would_alone(shelf: ReportShelf) -> None:
    """Its error is the same, and the site hears of cause and help."""
    with (
        pytest.raises(StepError, match="port 6443 is taken"),
        Reporter(SITE, lambda: shelf) as reporter,
        running(SITE, "bootstrap", reporter.see) as run,
        run.step("k3s_server", "Run Kubernetes", ("s1",)),
    ):
        raise StepError(Finding("k3s_server on s1", "port 6443 is taken", "free it"))
    (kept,) = shelf.listed()
    assert (kept.report.state, kept.report.steps[0].state) == ("failed", "failed")
    assert kept.report.failures[0].help == "free it"


def test_an_object_that_is_no_report_is_passed_over(shelf: ReportShelf, kube: Kube) -> None:
    """Somebody may have changed one by hand; a newer aiplat may have written more."""
    shelf.put(told(EVENTS))
    (mine,) = kube.lists["configmaps"]
    newer = mine["data"]["report.json"].replace('"verb"', '"later":1,"verb"')
    kube.lists["configmaps"] = [
        mine | {"data": {"report.json": newer}},
        mine | {"data": {"report.json": "{"}},
        mine | {"data": None},
    ]
    assert len(shelf.listed()) == 1


@pytest.mark.parametrize("name", ["2025", "../secrets/portal-database", "x/../../secrets/portal-database"])
def test_a_report_that_names_another_run_than_its_object_is_passed_over(
    shelf: ReportShelf, kube: Kube, name: str
) -> None:
    """Whoever can write one must not have an admin's next run delete something else."""
    shelf.put(told(EVENTS))
    (mine,) = kube.lists["configmaps"]
    run = shelf.listed()[0].report.id
    kube.lists["configmaps"] = [
        mine | {"data": {"report.json": mine["data"]["report.json"].replace(run, name)}}
    ]
    assert shelf.listed() == []
