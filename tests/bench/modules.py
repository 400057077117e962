"""Measures Ansible's own modules beside ours on a lab host, each where there is nothing to change."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.lab import lab_down, lab_up
from aiplat.shipped import shipped
from aiplat.site.models import Site
from aiplat.state import site_dir

NAME, HOST, ADDRESS = "t-modules", "t-modules-s1", "10.97.73.11"
_TASKS, _TIMES = 5, 3
Task = dict[str, Any]

_FILES = {f"/etc/aiplat-bench/{n}.conf": f"file {n}\n" * 20 for n in range(6)}
_UNIT = "/etc/systemd/system/aiplat-bench.service"
_UNIT_TEXT = """[Service]
Environment=AIPLAT_CONTENT=one
RuntimeDirectory=%n
ExecStartPre=/bin/sh -c '>/run/%n/started'
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Pair:
    """One piece of work, done by one of our modules and by Ansible's own."""

    what: str
    ours: tuple[Task, ...]
    theirs: tuple[Task, ...]


@dataclass(frozen=True)
class Measured:
    """Seconds that a piece of work takes where nothing changes: the median of several plays."""

    what: str
    ours: float
    theirs: float


PAIRS = (
    Pair(
        "six files, a folder and three links (`host_files`; `file` and `copy` in loops)",
        (
            {
                "host_files": {
                    "dirs": [{"path": "/etc/aiplat-bench", "mode": "0755"}],
                    "files": [{"path": path, "content": text} for path, text in _FILES.items()],
                    "links": {f"/etc/aiplat-bench/l{n}": "0.conf" for n in range(3)},
                }
            },
        ),
        (
            {"ansible.builtin.file": {"path": "/etc/aiplat-bench", "state": "directory", "mode": "0755"}},
            {
                "ansible.builtin.copy": {
                    "dest": "{{ item.path }}",
                    "content": "{{ item.text }}",
                    "mode": "0644",
                },
                "loop": [{"path": path, "text": text} for path, text in _FILES.items()],
            },
            {
                "ansible.builtin.file": {
                    "path": "/etc/aiplat-bench/l{{ item }}",
                    "src": "0.conf",
                    "state": "link",
                },
                "loop": [0, 1, 2],
            },
        ),
    ),
    Pair(
        "a unit that runs (`systemd_unit`; `systemd_service`)",
        ({"systemd_unit": {"name": "aiplat-bench.service", "content": "one"}},),
        (
            {
                "ansible.builtin.systemd_service": {
                    "name": "aiplat-bench.service",
                    "enabled": True,
                    "state": "started",
                }
            },
        ),
    ),
    Pair(
        "an answer over TLS (`https_answer`; `uri`)",
        ({"https_answer": {"url": "https://127.0.0.1:4433/", "ca": "/etc/aiplat-bench.pem"}},),
        (
            {
                "ansible.builtin.uri": {
                    "url": "https://127.0.0.1:4433/",
                    "ca_path": "/etc/aiplat-bench.pem",
                    "use_proxy": False,
                    "timeout": 5,
                },
                "register": "answer",
                "until": "answer.status == 200",
                "retries": 30,
                "delay": 1,
            },
        ),
    ),
)
_BEFORE: tuple[Task, ...] = (
    {"ansible.builtin.copy": {"dest": _UNIT, "content": _UNIT_TEXT, "mode": "0644"}},
    {"ansible.builtin.systemd_service": {"daemon_reload": True}},
    {
        "ansible.builtin.shell": (
            "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
            " -keyout /root/bench.key -out /etc/aiplat-bench.pem &&"
            " systemd-run --unit aiplat-bench-tls openssl s_server -accept 4433 -WWW -key /root/bench.key"
            " -cert /etc/aiplat-bench.pem -www"
        )
    },
)


@contextmanager
def _host(folder: Path) -> Iterator[None]:
    """A lab host, and the inventory of it in `folder`."""
    host = {"name": HOST, "address": ADDRESS, "role": "server"}
    site = Site.model_validate(
        {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": NAME, "hosts": [host]}
    )
    try:
        lab_up(site)
        state = site_dir(NAME)
        reach = {
            "ansible_host": ADDRESS,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(state / "ssh_key"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={state / 'known_hosts'} -o ControlMaster=auto"
            f" -o ControlPersist=60 -o ControlPath={folder}/ssh",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {HOST: reach}}}))
        yield
    finally:
        lab_down(NAME)


def _play(folder: Path, tasks: tuple[Task, ...]) -> float:
    """Carry out a play of these tasks; return its seconds."""
    (folder / "play.json").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}])
    )
    root = shipped("roles").parent
    names = {"ANSIBLE_LIBRARY": "roles/*/library", "ANSIBLE_MODULE_UTILS": "roles/*/module_utils"}
    paths = {name: ":".join(map(str, root.glob(pattern))) for name, pattern in names.items()}
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    began = time.monotonic()
    done = subprocess.run(
        [ansible, "--inventory", "hosts.json", "play.json"],
        cwd=folder,
        env={**os.environ, **paths, "ANSIBLE_PIPELINING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return time.monotonic() - began


def _seconds(folder: Path, tasks: tuple[Task, ...]) -> float:
    """Return the seconds that these tasks take once everything is as they want it."""
    _play(folder, tasks)
    seen = []
    for _ in range(_TIMES):
        nothing = _play(folder, ())
        seen.append((_play(folder, tasks * _TASKS) - nothing) / _TASKS)
    return statistics.median(seen)


def measure() -> Iterator[Measured]:
    """Measure all pairs on one lab host; needs root, as every lab does."""
    with tempfile.TemporaryDirectory() as made, _host(folder := Path(made)):
        _play(folder, _BEFORE)
        for pair in PAIRS:
            yield Measured(pair.what, _seconds(folder, pair.ours), _seconds(folder, pair.theirs))


def main() -> None:
    """Print a row for each pair."""
    sys.stdout.write("| work where nothing changes | ours, s | Ansible's, s | ratio |\n|---|---|---|---|\n")
    for one in measure():
        sys.stdout.write(
            f"| {one.what} | {one.ours:.2f} | {one.theirs:.2f} | {one.theirs / one.ours:.1f} |\n"
        )


if __name__ == "__main__":
    main()
