"""Running a playbook: its events in our words, its failures with their cause, its files gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import aiplat.fleet.ansible as subject
from aiplat.fleet.ansible import TaskEvent, cause_of, run_playbook, to_event
from aiplat.fleet.inventory import RunFolder

PLAY = """
- name: step
  hosts: s1
  connection: local
  gather_facts: false
  tasks:
    - {name: Nothing changes, ansible.builtin.command: "true", changed_when: false}
    - {name: Something changes, ansible.builtin.command: "printenv AIPLAT_RUN_ID"}
    - {name: A secret is used, ansible.builtin.command: "true", environment: {X: "{{ top }}"}, no_log: true}
"""
FAILS = (
    PLAY
    + """
    - {name: This fails, ansible.builtin.command: "sh -c 'echo no space left >&2; exit 3'"}
"""
)


# A play whose only host goes away, and a later play on another host.
GONE = """
- name: first
  hosts: s1
  gather_facts: false
  any_errors_fatal: true
  max_fail_percentage: 0
  vars: {ansible_ssh_args: "-o ProxyCommand=false"}
  tasks: [{name: Reach it, ansible.builtin.raw: "true"}]
- name: second
  hosts: a1
  connection: local
  gather_facts: false
  tasks: [{name: This must not run, ansible.builtin.command: "true"}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Return a run folder for this machine and a shipped root with the playbooks `good` and `bad`."""
    root = tmp_path / "shipped"
    (root / "playbooks").mkdir(parents=True)
    (root / "playbooks/good.yml").write_text(PLAY)
    (root / "playbooks/bad.yml").write_text(FAILS)
    (root / "playbooks/gone.yml").write_text(GONE)
    (root / "ansible.cfg").write_text("[defaults]\ninterpreter_python = /usr/bin/python3\n")
    monkeypatch.setattr(subject, "shipped_root", lambda: root)
    folder = RunFolder(tmp_path / "run", "run-1")
    folder.path.mkdir()
    folder.inventory.write_text(
        "all: {hosts: {s1: {ansible_host: 192.0.2.11}}, children: {agent: {hosts: {a1: }}}}"
    )
    folder.secrets.write_text("top: s3cret")
    return folder


def test_a_good_run_is_told_task_by_task(folder: RunFolder) -> None:
    """Changed is honest, hidden where a task may hold secrets, and counted by Ansible's recap."""
    events: list[TaskEvent] = []
    outcome = run_playbook("good", folder, events.append)
    assert (outcome.ok, outcome.changed, outcome.failures, outcome.output) == (True, 2, (), "")
    ended = [(e.host, e.task, e.changed) for e in events if e.kind == "task"]
    assert ended == [
        ("s1", "Nothing changes", False),
        ("s1", "Something changes", True),
        ("s1", "A secret is used", None),
    ]


def test_a_failure_has_its_cause_and_ansibles_own_words(folder: RunFolder) -> None:
    """Host, play, task and the last words of what failed are reported; Ansible's output is not swallowed."""
    outcome = run_playbook("bad", folder, lambda _event: None)
    assert not outcome.ok
    failure = outcome.failures[0]
    assert (failure.host, failure.play, failure.task) == ("s1", "step", "This fails")
    assert "no space left" in failure.cause
    assert "TASK [This fails]" in outcome.output
    assert "\x1b" not in outcome.output


def test_no_secret_is_in_what_the_runner_writes(folder: RunFolder) -> None:
    """Only the secrets file itself holds the secret."""
    run_playbook("good", folder, lambda _event: None)
    files = [path for path in folder.path.rglob("*") if path.is_file() and path != folder.secrets]
    assert files
    assert [path for path in files if b"s3cret" in path.read_bytes()] == []


def test_a_host_that_goes_away_ends_the_run(folder: RunFolder) -> None:
    """With the settings of our plays, nothing is done on other hosts in later plays."""
    events: list[TaskEvent] = []
    outcome = run_playbook("gone", folder, events.append)
    assert [(f.host, f.play) for f in outcome.failures] == [("s1", "first")]
    assert "This must not run" not in [event.task for event in events]


def test_a_run_that_is_cancelled_ends(folder: RunFolder) -> None:
    """Once the callback says so, Ansible is ended and the outcome is not ok."""
    assert not run_playbook("good", folder, lambda _event: None, cancelled=lambda: True).ok


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        ({"msg": "blob is not staged"}, "blob is not staged"),
        (
            {"msg": "MODULE FAILURE", "module_stderr": "Traceback\nOSError: full"},
            "MODULE FAILURE: OSError: full",
        ),
        ({"results": [{"failed": True, "msg": "a"}, {"msg": "b"}, {"failed": True, "msg": "c"}]}, "a; c"),
        ({"censored": "…"}, "its output is hidden because it may hold secrets"),
        ({}, "no reason was given"),
    ],
)
def test_causes_in_few_words(result: dict[str, Any], cause: str) -> None:
    """Whatever shape a failure has, its cause is a short sentence."""
    assert cause_of(result) == cause


def test_an_ignored_failure_is_none() -> None:
    """A task that may fail is not a failure of the run."""
    data = {"host": "s1", "task": "t", "play": "p", "res": {"msg": "x"}, "ignore_errors": True}
    assert to_event({"event": "runner_on_failed", "event_data": data}) is None
