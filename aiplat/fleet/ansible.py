"""The only importer of ansible_runner: runs one playbook and turns its events into ours; decides nothing."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ansible_runner import interface

from aiplat.errors import AiplatError, Finding
from aiplat.fleet.inventory import RunFolder
from aiplat.shipped import shipped_root

# As much of Ansible's own output as helps somebody who reads about a failure.
OUTPUT_LINES = 60
Kind = Literal["play", "task_started", "item", "task", "skipped", "failed"]
# The runner's names for what we pass on. An item's failure comes again as its task's failure.
_KINDS: dict[str, Kind] = {
    "playbook_on_play_start": "play",
    "playbook_on_task_start": "task_started",
    "runner_item_on_ok": "item",
    "runner_on_ok": "task",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "failed",
}

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_run: Callable[..., Any] = interface.run


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host, and why."""

    host: str
    play: str
    task: str
    cause: str


@dataclass(frozen=True)
class TaskEvent:
    """Something Ansible did: a play or task began, or a task or one item of its loop ended on a host.

    `changed` is None where the result is hidden because it may hold secrets; `item` is the item's label,
    `cause` is filled for kind `failed` alone; `notes` are sentences a module has for people.
    """

    kind: Kind
    play: str
    task: str = ""
    host: str = ""
    changed: bool | None = False
    item: str = ""
    cause: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlaybookOutcome:
    """How a playbook ended; `output` holds Ansible's last lines and is empty when all went well."""

    ok: bool
    changed: int
    failures: tuple[Failure, ...]
    output: str = ""


@dataclass
class _Watch:
    """Collects what the outcome needs while events pass through."""

    on_event: Callable[[TaskEvent], None]
    changed: int = 0
    failures: list[Failure] = field(default_factory=list)

    def handle(self, event: dict[str, Any]) -> bool:
        """Take one of the runner's events; False keeps it out of the artifacts."""
        if event.get("event") == "playbook_on_stats":
            self.changed = sum((event["event_data"].get("changed") or {}).values())
        ours = to_event(event)
        if ours is None:
            return False
        if ours.kind == "failed":
            self.failures.append(Failure(ours.host, ours.play, ours.task, ours.cause))
        self.on_event(ours)
        return False


def run_playbook(
    name: str,
    folder: RunFolder,
    on_event: Callable[[TaskEvent], None],
    cancelled: Callable[[], bool] | None = None,
) -> PlaybookOutcome:
    """Run `playbooks/<name>.yml` with a run folder's inventory and secrets; events come as they happen.

    `cancelled` is asked every few seconds; once it says True, Ansible is ended.

    Raises:
        AiplatError: Ansible could not be started at all.
    """
    watch = _Watch(on_event)
    try:
        runner = _run(
            private_data_dir=str(folder.path),
            project_dir=str(shipped_root()),
            playbook=f"playbooks/{name}.yml",
            inventory=str(folder.inventory),
            cmdline=f"--extra-vars @{folder.secrets}",
            ident=folder.run_id,
            envvars=_environment(folder),
            event_handler=watch.handle,
            # Without a callback of ours the runner takes over the process' signal handlers.
            cancel_callback=cancelled or _never,
            settings={"suppress_ansible_output": True, "pexpect_timeout": 1},
            quiet=True,
        )
    except SystemExit as error:
        raise AiplatError(Finding("ansible", f"did not start (exit code {error.code})")) from error
    ok = runner.rc == 0 and not watch.failures
    return PlaybookOutcome(ok, watch.changed, tuple(watch.failures), "" if ok else _last_lines(folder))


def to_event(event: dict[str, Any]) -> TaskEvent | None:
    """Turn one of the runner's events into ours; those that say nothing new become None."""
    data = event.get("event_data") or {}
    kind = _KINDS.get(event.get("event", ""))
    if kind is None or (kind == "failed" and data.get("ignore_errors")):
        return None
    result = data.get("res") or {}
    return TaskEvent(
        kind,
        play=str(data.get("play", "")),
        task=str(data.get("task", "")),
        host=str(data.get("host", "")),
        changed=None if "censored" in result else bool(result.get("changed")),
        item=str(result.get("_ansible_item_label", "")) if kind == "item" else "",
        cause=cause_of(result) if kind == "failed" else "",
        notes=tuple(str(note) for note in result.get("notes", ())),
    )


def cause_of(result: dict[str, Any]) -> str:
    """Return why a task failed, in as few lines as hold it."""
    if "censored" in result:
        return "its output is hidden because it may hold secrets"
    failed = [item for item in result.get("results", ()) if item.get("failed")]
    if failed:
        return "; ".join(cause_of(item) for item in failed)
    message = str(result.get("msg", "")).strip()
    # A module that crashed says so in msg and why at the end of its stderr.
    details = str(result.get("stderr") or result.get("module_stderr") or "").strip().splitlines()
    if details and details[-1] not in message:
        return f"{message}: {details[-1]}" if message else details[-1]
    return message or "no reason was given"


def _environment(folder: RunFolder) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    return {
        "AIPLAT_RUN_ID": folder.run_id,
        "ANSIBLE_CONFIG": str(shipped_root() / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder.path / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder.path / "tmp"),
        "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def _last_lines(folder: RunFolder) -> str:
    path = folder.path / "artifacts" / folder.run_id / "stdout"
    if not path.exists():
        return ""
    lines = _COLOUR.sub("", path.read_text(encoding="utf-8", errors="replace")).splitlines()
    return "\n".join(lines[-OUTPUT_LINES:])


def _never() -> bool:
    return False
