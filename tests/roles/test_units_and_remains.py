"""When a unit is restarted, and which files a reset knows."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import Template
from ruamel.yaml import YAML

from aiplat.plan.steps import managed
from aiplat.shipped import shipped
from tests.roles.conftest import load_module

ACTIVE = {"ActiveState": "active", "UnitFileState": "enabled", "MainPID": "1"}


@pytest.mark.parametrize(
    ("seen", "running", "others", "action"),
    [
        (ACTIVE, "new", False, "nothing"),
        (ACTIVE, "old", False, "restarted"),
        (ACTIVE, "", False, "restarted"),
        (ACTIVE, "new", True, "restarted"),
        ({**ACTIVE, "UnitFileState": "disabled"}, "new", False, "enabled"),
        ({**ACTIVE, "ActiveState": "failed"}, "new", False, "started"),
        ({**ACTIVE, "ActiveState": "inactive"}, "new", True, "started"),
    ],
)
def test_a_unit_is_restarted_for_other_content_alone(
    monkeypatch: pytest.MonkeyPatch, seen: dict[str, str], running: str, others: bool, action: str
) -> None:
    """What the running process was started with decides, not what a task happened to change."""
    module = load_module("aiplat_modules/library/systemd_unit.py")
    monkeypatch.setattr(module, "running_content", lambda _pid: running)
    assert module.action_needed(seen, "new", others) == action


def start(role: str, record: Path, files: list[str]) -> None:
    """Do what the role's unit does to say with which files it is started, into `record`."""
    paths = {"k3s": "/data/k3s", "kubelet": "/data/kubelet", "registry": "/data/registry"}
    names = {
        f"{role}_paths": paths,
        f"{role}_start_files": files,
        f"{role}_inputs": {},
        f"{role}_site": "ward",
        f"{role}_managed": managed(role),
    }
    template = next(shipped(f"roles/{role}/templates").glob("*.service.j2"))
    text = Template(template.read_text()).render(names)
    line = next(line for line in text.splitlines() if "sha256sum" in line)
    command = line.partition("=-")[2].replace("$$", "$").replace("/run/%n/started", str(record))
    argv = shlex.split(command)
    subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("role", ["k3s_server", "k3s_agent", "site_registry"])
def test_a_unit_says_itself_with_which_files_it_was_started(tmp_path: Path, role: str) -> None:
    """Another content since then is seen, also of a file that was missing; another mode is none."""
    module = load_module("aiplat_modules/library/systemd_unit.py")
    record, one, other = tmp_path / "started", tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    files = [str(one), str(other)]
    start(role, record, files)
    other.write_text("2")
    assert module.started_with_others(record, files)
    start(role, record, files)
    one.chmod(0o600)
    assert not module.started_with_others(record, files)
    one.write_text("changed by hand")
    start(role, record, files)
    one.write_text("1")
    assert module.started_with_others(record, files)


def test_a_unit_that_does_not_say_its_files_was_started_with_others(tmp_path: Path) -> None:
    """As one that an older aiplat started."""
    module = load_module("aiplat_modules/library/systemd_unit.py")
    (tmp_path / "one").write_text("1")
    assert module.started_with_others(tmp_path / "no record", [str(tmp_path / "one")])


def test_the_content_of_a_process_is_read_from_its_environment() -> None:
    """It is what the unit file said when the process was started."""
    module = load_module("aiplat_modules/library/systemd_unit.py")
    program = [sys.executable, "-c", "print('ready', flush=True); input()"]
    environment = {**os.environ, "AIPLAT_CONTENT": "c0ffee"}
    process = subprocess.Popen(program, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    try:
        assert module.running_content(str(process.pid)) == "c0ffee"
    finally:
        process.communicate(b"\n")
    assert module.running_content(str(process.pid)) == ""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in systemctl's place, to be written."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "systemctl"
    program.touch(0o755)
    return program


def disk(room: int) -> os.statvfs_result:
    """Return what is seen of a disk on which root finds so many bytes free."""
    return os.statvfs_result((4096, 1, 1 << 40, room, 0, 1 << 20, 1 << 10, 1 << 10, 0, 255))


def test_a_unit_that_waits_on_a_full_disk_is_not_waited_for(
    systemctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither starts nor fails; the disk's folder is named, one that is not there yet too."""
    module = load_module("aiplat_modules/library/systemd_unit.py")
    systemctl.write_text("#!/bin/sh\nexec sleep 100000\n")
    monkeypatch.setattr(os, "statvfs", lambda path: disk(0 if path == Path("/dev") else 1 << 30))
    with pytest.raises(module.HostProblem, match="the disk of /dev/not-there/k3s is full"):
        module.restart("k3s.service", 100_000, ["/proc", "/dev/not-there/k3s"])


def test_a_unit_is_waited_for_while_there_is_room(
    systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes; pseudo file systems, which have no blocks, are not full."""
    module = load_module("aiplat_modules/library/systemd_unit.py")
    seen = os.statvfs

    def look(path: Path) -> os.statvfs_result:
        (tmp_path / "looked").touch()
        return seen(path)

    monkeypatch.setattr(os, "statvfs", look)
    wait = f"while [ ! -e {tmp_path}/looked ]; do sleep 0.02; done"
    systemctl.write_text(f'#!/bin/sh\n{wait}\necho "$@" >{tmp_path}/asked\n')
    module.restart("k3s.service", 100_000, ["/proc", str(tmp_path)])
    assert (tmp_path / "asked").read_text() == "restart k3s.service\n"


def test_a_unit_that_fails_ends_the_wait_with_its_words(systemctl: Path) -> None:
    """As does one that says nothing within its time."""
    module = load_module("aiplat_modules/library/systemd_unit.py")
    systemctl.write_text("#!/bin/sh\necho 'Job failed.' >&2\nexit 1\n")
    with pytest.raises(module.HostProblem, match=r"Job failed\."):
        module.restart("k3s.service", 100_000, [])
    systemctl.write_text("#!/bin/sh\nexec sleep 100000\n")
    with pytest.raises(module.HostProblem, match="not ready within 0 s"):
        module.restart("k3s.service", 0, [])


def test_a_reset_takes_the_sign_ins_name_out_of_the_hosts_file() -> None:
    """As the role's task writes it; other lines stay, also where the end of ours is lost."""
    module = load_module("host_reset/module_utils/host_names.py")
    tasks = YAML(typ="safe").load(shipped("roles/k3s_server/tasks/main.yml").read_text())
    task = next(t["ansible.builtin.blockinfile"] for t in tasks if "ansible.builtin.blockinfile" in t)
    begin, end = (task["marker"].replace("{mark}", word) for word in ("BEGIN", "END"))
    ours = f"{begin}\n10.43.0.12 login.ward-3.internal\n{end}\n"
    others = "127.0.0.1 localhost\n10.0.0.7 printer # aiplat\n"
    looks = load_module("aiplat_modules/library/node_facts.py")
    assert task["path"] == str(module.HOSTS) == looks.HOSTS
    assert module.BEGIN == looks.ISSUER == begin
    assert module.without_block(others + ours) == others
    assert module.without_block(ours + others) == others
    assert module.without_block(f"{begin}\n{others}") == others
