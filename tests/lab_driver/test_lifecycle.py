"""Labs come, are killed half-way, are kept and put back, and go without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.errors import BadInput
from aiplat.lab import egress_report, ignore_events, lab_down, lab_restore, lab_snapshot, lab_status, lab_up
from aiplat.lab.names import bridge_name
from aiplat.lab.restores import cut_off
from aiplat.lab.rootfs import base_root, lab_suite
from tests.lab_driver.sites import site
from tests.lab_driver.traces import traces
from tests.patience import until

pytestmark = pytest.mark.lab
OnHost = Callable[[str, str, str], subprocess.CompletedProcess[str]]
AIPLAT = (sys.executable, "-c", "from aiplat.cli.main import main; main()")
CHECKOUT = Path(__file__).parents[2]


def _nothing_left(lab: str, *folders: Path) -> None:
    found = traces(lab, bridge_name(lab), *folders)
    print(f"after `lab down {lab}` looked at: {', '.join(found)}")  # noqa: T201  (the test lists what it saw)
    assert {kind: what for kind, what in found.items() if what} == {}


def _site_file(folder: Path, name: str, address: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(
        f"apiVersion: aiplat.dev/v1alpha1\nkind: Site\nname: {name}\n"
        f"hosts:\n  - {{name: s1, address: {address}, role: server}}\n"
    )
    return path


def test_down_leaves_nothing_and_says_what_was_there(lab_state: Path) -> None:
    """A second down has nothing to do."""
    lab_up(site("t-lab-gone", "10.92.21.11"))
    before = traces("t-lab-gone", bridge_name("t-lab-gone"), lab_state)
    there = ("processes by command line or control group", "links", "nftables", "control groups", "state")
    assert all(before[kind] for kind in there), before
    removed = lab_down("t-lab-gone")
    assert any("processes ended" in sentence for sentence in removed)
    assert f"link {bridge_name('t-lab-gone')}" in removed
    _nothing_left("t-lab-gone", lab_state)
    assert lab_down("t-lab-gone") == ()
    assert lab_status("t-lab-gone").state == "absent"


@pytest.mark.parametrize("step", ["egress", "bridge", "forwarding", "limits", "base", "disk", "boot", "ssh"])
def test_up_killed_in_a_step_is_completed_or_removed(step: str, lab_state: Path, tmp_path: Path) -> None:
    """After SIGKILL both ways are open: down leaves nothing, up continues to a whole lab."""
    name = f"t-lab-k-{step}"
    file = _site_file(tmp_path, name, "10.92.22.11")
    try:
        _kill_in(step, file)
        lab_down(name)
        _nothing_left(name, lab_state)
        _kill_in(step, file)
        assert lab_up(site(name, "10.92.22.11")).state == "up"
    finally:
        lab_down(name)
    _nothing_left(name, lab_state)


def _kill_in(step: str, file: Path, cache: Path | None = None, text: str = "") -> None:
    """Run `aiplat lab up` and kill it when `step` has started (or, in it, when `text` is told)."""
    environment = {**os.environ, **({"XDG_CACHE_HOME": str(cache)} if cache else {})}
    argv = (*AIPLAT, "lab", "up", str(file), "--json")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["kind"] == "Event" and event["step"] == step and text in event["text"]:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL, f"{step} was never told"


def test_a_killed_build_of_the_base_root_leaves_no_process_and_no_half_root(
    lab_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was building ends with its caller, and down takes away what it had built."""
    cache = tmp_path / "cache"
    _kill_in("base", _site_file(tmp_path, "t-lab-build", "10.92.23.11"), cache, text="extracting")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))

    def building() -> list[Path]:
        return [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(cache).encode() in _bytes(p)]

    until(lambda: not building(), building)
    assert list((cache / "aiplat" / "lab").glob("rootfs-*")) == []
    removed = lab_down("t-lab-build")
    assert any(".building-" in sentence for sentence in removed)
    _nothing_left("t-lab-build", lab_state, cache)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_hosts_that_died_are_booted_again_with_their_disks(
    removed_after: Callable[[str], str], on_host: OnHost
) -> None:
    """After a power cut `up` starts what is not running and makes nothing be made again."""
    name = removed_after("t-lab-dead")
    (host,) = lab_up(site(name, "10.92.24.11")).hosts
    on_host(name, "s1", "echo kept > /root/file && sync")
    os.kill(host.pid, signal.SIGKILL)
    again = lab_up(site(name, "10.92.24.11"))
    assert again.changed == 1
    assert on_host(name, "s1", "cat /root/file").stdout == "kept\n"


def test_a_host_that_reboots_comes_back_and_one_powered_off_stays_off(
    removed_after: Callable[[str], str], on_host: OnHost
) -> None:
    """As with a machine: what ran is gone, what lay on its disk is there; `up` switches it on again."""
    name = removed_after("t-lab-reboot")
    before = lab_up(site(name, "10.97.31.11")).hosts
    on_host(name, "s1", "echo kept > /root/file; touch /run/before; systemctl reboot")
    look = "test ! -e /run/before && cat /root/file"
    until(lambda: on_host(name, "s1", look).stdout == "kept\n", lambda: lab_status(name))
    assert on_host(name, "s1", "systemctl is-system-running --wait").stdout == "running\n"
    after = lab_status(name)
    assert (after.state, after.hosts[0].pid != before[0].pid) == ("up", True)
    on_host(name, "s1", "systemctl poweroff")
    until(lambda: lab_status(name).hosts[0].state == "stopped", lambda: lab_status(name))
    assert lab_up(site(name, "10.97.31.11")).changed == 1


def test_two_labs_do_not_know_of_each_other(
    lab_state: Path, removed_after: Callable[[str], str], on_host: OnHost
) -> None:
    """They run at once, do not reach each other, and one goes without touching the other."""
    for name, address in (("t-lab-east", "10.92.25.11"), ("t-lab-west", "10.92.26.11")):
        lab_up(site(removed_after(name), address))
    assert on_host("t-lab-east", "s1", "ping -c1 -W1 10.92.26.11").returncode != 0
    assert egress_report("t-lab-east").packets == 1
    assert egress_report("t-lab-west").packets == 0
    lab_down("t-lab-east")
    _nothing_left("t-lab-east", lab_state)
    assert lab_status("t-lab-west").state == "up"
    assert on_host("t-lab-west", "s1", "systemctl is-system-running --wait").stdout == "running\n"


def test_a_snapshot_brings_the_whole_disk_back(removed_after: Callable[[str], str], on_host: OnHost) -> None:
    """What was written, changed and removed since is undone; host keys and so known_hosts still fit."""
    name = removed_after("t-lab-snap")
    lab_up(site(name, "10.92.27.11"))
    on_host(name, "s1", "mkdir -p /var/lib/aiplat && echo before > /var/lib/aiplat/file && touch /srv/old")
    lab_snapshot(name, "before-step")
    assert lab_status(name).state == "up"
    on_host(name, "s1", "echo after > /var/lib/aiplat/file; rm /srv/old; touch /srv/new")
    for _ in range(2):
        lab_restore(name, "before-step")
        seen = on_host(name, "s1", "cat /var/lib/aiplat/file; ls /srv; systemctl is-system-running --wait")
        assert seen.stdout.split() == ["before", "old", "running"]


def test_a_restore_killed_half_way_is_finished_by_the_next(
    removed_after: Callable[[str], str], on_host: OnHost, tmp_path: Path
) -> None:
    """Hosts are not left at two times: until then `up` and `snapshot` name the command that finishes it."""
    name, address = removed_after("t-lab-half"), "10.92.33.11"
    lab_up(site(name, address))
    on_host(name, "s1", "echo before > /root/file")
    lab_snapshot(name, "clean")
    on_host(name, "s1", "echo after > /root/file")
    argv = (*AIPLAT, "lab", "restore", str(_site_file(tmp_path, name, address)), "--label", "clean")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: process.poll() is not None or cut_off(name))
        process.kill()
    assert lab_status(name).state == "partial"
    for verb in (lambda: lab_up(site(name, address)), lambda: lab_snapshot(name, "next")):
        with pytest.raises(BadInput, match=f"half put back .* aiplat lab restore {name} --label clean"):
            verb()
    lab_restore(name, "clean")
    assert lab_status(name).state == "up"
    assert on_host(name, "s1", "cat /root/file").stdout == "before\n"


def test_an_unknown_snapshot_is_refused_before_anything_stops(removed_after: Callable[[str], str]) -> None:
    """The message names the snapshots that there are, and the host runs on."""
    name = removed_after("t-lab-none")
    before = lab_up(site(name, "10.92.28.11")).hosts
    with pytest.raises(BadInput, match="snapshot nope: is not in lab t-lab-none; there are: none"):
        lab_restore(name, "nope")
    assert lab_status(name).hosts == before


def test_a_lab_of_another_state_folder_is_not_touched(
    removed_after: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither up nor down of a second user takes a running lab for leftovers; both say whose it is."""
    name = removed_after("t-lab-mine")
    before = lab_up(site(name, "10.92.29.11")).hosts
    with monkeypatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(tmp_path))
        for verb in (lambda: lab_down(name), lambda: lab_up(site(name, "10.92.29.11"))):
            with pytest.raises(BadInput, match=r"runs .*from another state folder"):
                verb()
    assert lab_status(name).hosts == before


def _in_namespaces(module: str, state: Path, *namespaces: str) -> dict[str, object]:
    """Run a module of these tests in namespaces of its own and return the JSON it prints."""
    base_root(lab_suite(), ignore_events)  # in there is no way to a package mirror
    environment = {**os.environ, "AIPLAT_STATE": str(state)}
    argv = ("unshare", *namespaces, sys.executable, "-m", f"tests.lab_driver.{module}")
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=CHECKOUT, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, object] = json.loads(done.stdout)
    return seen


def test_hosts_talk_where_other_rules_drop_what_is_forwarded(tmp_path: Path) -> None:
    """Beside Docker's FORWARD policy hosts reach each other, and down takes its rule back."""
    assert _in_namespaces("behind_a_drop_policy", tmp_path, "--net") == {
        "policy still dropped between hosts": False,
        "rules while up": 1,
        "rules after down": 0,
    }


def test_hosts_boot_where_control_groups_are_version_2_alone(tmp_path: Path) -> None:
    """The host has the one tree, may write in it, and it is gone afterwards."""
    assert _in_namespaces("on_version_2", tmp_path, "--net", "--mount") == {
        "hierarchies": [2],
        "host": ["running", "cgroup2fs", "writable"],
        "groups while up": 1,
        "groups after down": 0,
    }
