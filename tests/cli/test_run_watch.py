"""How a run looks while it goes, for a log, a program and a terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from aiplat.actions.summary import CheckLine, PlaneLine, Summary, Words
from aiplat.cli.run_tables import size, summary_panel
from aiplat.cli.run_watch import BarWatch, JsonWatch, LineWatch, Watch, line_of
from aiplat.lab.driver import ignore_events
from aiplat.runs.events import (
    EVENT,
    Event,
    PlanMade,
    Progress,
    RunStarted,
    StepFailed,
    StepFinished,
    StepStarted,
    TaskDone,
)

EVENTS: tuple[Event, ...] = (
    RunStarted(site="ward-3", verb="bootstrap", after="20260101T000000Z-abc", after_step="k3s_server"),
    StepStarted(step="bundle", title="Make and check the bundle", hosts=("operator",)),
    *(
        Progress(step="bundle", host="operator", done=done, total=total, unit="artifact", what=what)
        for what, done, total in (
            ("hostfile helm: compile packages", 0, 10),
            ("hostfile helm: compile packages", 3, 10),
            ("image docker.io/library/made-before: done", 5_000_000, 5_000_000),
            ("hostfile helm: done", 2_000_000, 2_000_000),
            ("hostfile helm: add bytes to the bundle", 2_000_000, 2_000_000),
        )
    ),
    StepFinished(step="bundle", seconds=2.0),
    StepStarted(step="stage", title="Bring what is missing to the hosts", hosts=("s1",)),
    Progress(step="stage", host="s1", done=5 << 20, total=10 << 20),
    StepFinished(step="stage", changed=1, seconds=1.0),
    StepStarted(step="k3s_server", title="Run the control plane", hosts=("s1",)),
    Progress(step="k3s_server", host="", done=0, total=0, unit="tasks", what="Wait until the node is Ready"),
    TaskDone(step="k3s_server", host="s1", task="Start k3s", changed=True),
    TaskDone(step="k3s_server", host="s1", task="Read the configuration", changed=False),
    StepFailed(step="k3s_server", host="s1", cause="no", help="look"),
)
SUMMARY = Summary(
    verb="bootstrap",
    site="ward-3",
    run="r",
    state="done",
    changed=12,
    seconds=42.4,
    url="https://10.0.0.11/v1",
    key="/state/vault.yml",
    planes=(PlaneLine(name="model", title="Model", components=("ollama",)),),
    checks=(
        CheckLine(sentence="The API answers.", result="OK"),
        CheckLine(sentence="The model completes.", result="FAIL", detail="it said nothing"),
    ),
    words=Words(model="smollm2:135m", prompt="What is the capital of Italy?", answer="It is Rome."),
)


def shown(watch: Watch, *, terminal: bool) -> str:
    """What a watcher writes for the events."""
    watch.console = Console(file=io.StringIO(), force_terminal=terminal, width=110, highlight=False)
    for event in EVENTS:
        watch.on_event(event)
    if isinstance(watch, BarWatch):
        watch.__exit__(None, None, None)
    assert isinstance(watch.console.file, io.StringIO)
    return watch.console.file.getvalue()


def test_log_has_a_line_for_what_matters() -> None:
    """Begin, change, end and failure are lines; what did not change is not."""
    text = shown(LineWatch(yes=True, on_lab=ignore_events), terminal=False)
    assert "\r" not in text
    assert text.splitlines() == [
        "run 20260101T000000Z-abc was cut off during k3s_server; going on from what is there",
        "bundle: Make and check the bundle (operator)",
        "hostfile helm: compile packages 0 of 10",
        "hostfile helm: done in 0 s (2.0 MB)",
        "bundle: done in 2.0 s, 0 changed",
        "stage: Bring what is missing to the hosts (s1)",
        "stage: done in 1.0 s, 1 changed",
        "k3s_server: Run the control plane (s1)",
        "k3s_server: s1: changed: Start k3s",
        "k3s_server: failed",
    ]


def test_terminal_shows_steps_bytes_and_the_task_at_work() -> None:
    """Bars name the step, how many bytes of how many, and what is being waited for."""
    text = shown(BarWatch(yes=True, on_lab=ignore_events), terminal=True)
    assert "Run the control plane" in text
    assert "Wait until the node is Ready" in text or "Start k3s" in text
    assert "run 20260101T000000Z-abc was cut off" in text


def test_program_gets_every_event_as_a_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is JSON lines that read back as the events."""
    watch = JsonWatch(yes=True, on_lab=ignore_events)
    for event in EVENTS:
        watch.on_event(event)
    lines = capsys.readouterr().out.splitlines()
    assert tuple(EVENT.validate_json(line) for line in lines) == EVENTS
    assert all("event" in json.loads(line) for line in lines)


def test_plan_is_no_line_of_a_log() -> None:
    """The plan is shown as a table, not as an event."""
    assert line_of(PlanMade(digest="sha256:0", plan={})) == ""


def test_summary_shows_planes_words_and_what_failed() -> None:
    """The last screen has the planes, the model's own words and every failed check with what was seen."""
    console = Console(file=io.StringIO(), width=110, highlight=False)
    console.print(summary_panel(SUMMARY, "ward-3/site.yaml"))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for part in (
        "Model",
        "ollama",
        "What is the capital of Italy?",
        "It is Rome.",
        "12 changes, no restarts, 42 s",
        "1 FAIL",
    ):
        assert part in text
    assert "The model completes: it said nothing" in text
    assert 'eval "$(aiplat env ward-3/site.yaml)"' in text


@pytest.mark.parametrize(
    ("number", "text"), [(12, "12 B"), (2048, "2 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes_are_for_people(number: int, text: str) -> None:
    """Bytes are shown in the unit that fits."""
    assert size(number) == text
