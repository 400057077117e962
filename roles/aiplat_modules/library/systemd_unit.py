#!/usr/bin/python
"""Ansible module: a unit is enabled and runs, started with the content it shall run with."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, run, sha256_of
from ansible.module_utils.basic import AnsibleModule

# Less is not room enough: a page of a database, a file of a few lines.
ROOM = 1 << 20

DOCUMENTATION = r"""
module: systemd_unit
short_description: A unit is enabled and runs with the content it shall run with
description:
  - It is restarted if what it runs with is not what it shall run with, and at no other time. The unit file
    sets C(AIPLAT_CONTENT), and the unit writes C(/run/<unit>/started), the digests of its files, whenever it
    starts. So a run that was killed between writing and restarting is made good by the next, as is a file
    that somebody changed before they restarted the unit; nothing is restarted twice, nor for a file's mode.
  - What finds its disk full may neither start nor fail, so that the wait for it ends with the disk's name.
options:
  name: {description: "The unit.", type: str, required: true}
  content: {description: "The value of AIPLAT_CONTENT it must run with.", type: str, required: true}
  files: {description: "The files that it reads when it starts.", type: list, elements: str, default: []}
  folders: {description: "Where it writes.", type: list, elements: path, default: []}
  timeout: {description: "Seconds the unit may take to say that it is ready.", type: int, default: 300}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The registry runs
  systemd_unit: {name: example.service, content: "{{ digest }}", files: [/etc/example.yml]}
"""
RETURN = r"""
action: {description: "What was done: nothing, enabled, started or restarted.", type: str, returned: always}
since: {description: "When its start began, in seconds since the epoch.", type: float, returned: always}
"""


def properties(unit: str) -> dict[str, str]:
    """Return what systemd knows of the unit."""
    wanted = "ActiveState,UnitFileState,MainPID,NeedDaemonReload"
    lines = run(["systemctl", "show", "--property", wanted, unit]).splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def running_content(pid: str) -> str:
    """Return the content a process was started with."""
    try:
        environment = Path(f"/proc/{int(pid)}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    found = (entry for entry in environment if entry.startswith(b"AIPLAT_CONTENT="))
    return next(found, b"=").partition(b"=")[2].decode()


def started_with_others(record: Path, files: list[str]) -> bool:
    """Say whether a unit was started with other files than are there now, or does not say with which."""
    try:
        lines = record.read_text().splitlines()
    except OSError:
        lines = []
    started = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    return any(started.get(path) != sha256_of(Path(path)) for path in files)


def action_needed(seen: dict[str, str], content: str, others: bool) -> str:
    """Return what has to be done to the unit; `others`: it was started with other files."""
    if seen["ActiveState"] != "active":
        return "started"
    if others or running_content(seen["MainPID"]) != content:
        return "restarted"
    return "nothing" if seen["UnitFileState"] == "enabled" else "enabled"


def since(unit: str) -> float:
    """Return when the unit's start began, by the host's clock; 0 where it never did."""
    text = run(["systemctl", "show", "--value", "--property", "InactiveExitTimestampMonotonic", unit]).strip()
    begun = int(text or 0) / 1e6
    return time.time() - (time.monotonic() - begun) if begun else 0.0


def last_words(unit: str) -> str:
    """Return the last lines the unit logged."""
    try:
        return run(["journalctl", "--unit", unit, "--lines", "12", "--no-pager", "--output", "cat"])
    except HostProblem:
        return ""


def full_disk(folders: list[str]) -> str:
    """Return the first folder whose file system has no room even for root, empty where all have some."""
    for folder in folders:
        there = next(p for p in (Path(folder), *Path(folder).parents) if p.exists())
        seen = os.statvfs(there)
        if (seen.f_blocks and seen.f_bfree * seen.f_frsize < ROOM) or (seen.f_files and not seen.f_ffree):
            return folder
    return ""


def restart(unit: str, timeout: int, folders: list[str]) -> None:
    """Restart a unit and wait until it says that it is ready.

    Raises:
        HostProblem: it failed, did not say so in time, or a disk it writes to is full.
    """
    deadline = time.monotonic() + timeout
    with subprocess.Popen(
        ["systemctl", "restart", unit], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as job:
        while True:
            try:
                _, words = job.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                full = full_disk(folders)
                if full or time.monotonic() > deadline:
                    # The job continues in systemd; only the waiting ends.
                    job.kill()
                    why = f"the disk of {full} is full" if full else f"not ready within {timeout} s"
                    raise HostProblem(why) from None
    if job.returncode:
        raise HostProblem(" ".join(words.split()) or f"exit code {job.returncode}")


def ensure(wanted: dict[str, Any], check: bool) -> str:
    """Bring the unit to where it shall be and return what was done."""
    unit = wanted["name"]
    # A unit file that systemd has not seen yet may hide behind an older one.
    if properties(unit).get("NeedDaemonReload") == "yes" and not check:
        run(["systemctl", "daemon-reload"])
    others = started_with_others(Path(f"/run/{unit}/started"), wanted["files"])
    action = action_needed(properties(unit), wanted["content"], others)
    if check or action == "nothing":
        return action
    run(["systemctl", "--quiet", "enable", unit])
    if action == "enabled":
        return action
    run(["systemctl", "reset-failed", unit])
    try:
        restart(unit, wanted["timeout"], wanted["folders"])
    except HostProblem as error:
        raise HostProblem(f"{unit} does not start: {error}; it said last:\n{last_words(unit)}") from error
    return action


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "content": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "str", "default": []},
            "folders": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        action = ensure(module.params, module.check_mode)
        begun = since(module.params["name"])
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=action != "nothing", action=action, since=begun)


if __name__ == "__main__":
    main()
