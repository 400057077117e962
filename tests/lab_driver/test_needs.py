"""What a machine without the means for a lab is told, all at once."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from aiplat.errors import EXIT_BAD_INPUT, BadInput
from aiplat.lab import needs

_Usage = namedtuple("_Usage", "total used free")
OTHER_WAY = "or use hosts of your own: list them in a site.yaml and run aiplat with it"


@pytest.fixture
def linux_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand on a Linux machine as root, whoever runs the tests."""
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)


def test_everything_that_is_missing_is_said_at_once(
    linux_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tools with the packages that bring them, and space, in one go with exit code 2."""
    there = shutil.which
    gone = ("nft", "systemd-nspawn", "mmdebstrap")
    monkeypatch.setattr("shutil.which", lambda tool: None if tool in gone else there(tool))
    monkeypatch.setattr("shutil.disk_usage", lambda _path: _Usage(10**11, 10**11, 10**9))
    with pytest.raises(BadInput) as refused:
        needs.check_machine()
    said = [str(finding) for finding in refused.value.findings]
    assert refused.value.exit_code == EXIT_BAD_INPUT
    assert said[0] == (
        "this machine: mmdebstrap, nft, systemd-nspawn not found; "
        f"apt-get install mmdebstrap nftables systemd-container, {OTHER_WAY}"
    )
    assert "1.0 GB free, a lab needs 3 GB; free some, or point AIPLAT_STATE elsewhere" in said[-1]


def test_space_is_only_asked_for_where_disks_are_made(
    linux_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lab whose hosts exist comes up on a full disk."""
    monkeypatch.setattr("shutil.disk_usage", lambda _path: _Usage(10**11, 10**11, 0))
    assert not [f for f in needs.missing(disks=False) if "GB free" in f.problem]


def test_other_systems_and_other_users_are_told_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence each: nothing else matters before that."""
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert [str(f) for f in needs.missing()] == [
        f"this machine: runs Darwin, lab hosts need Linux; {OTHER_WAY}"
    ]
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert [f.problem for f in needs.missing()] == ["lab hosts need root"]


@pytest.mark.parametrize("content", ["", "uninitialized\n", None])
def test_a_machine_without_an_id_is_told_how_to_get_one(content: str | None, tmp_path: Path) -> None:
    """Fresh roots and containers often have none."""
    path = tmp_path / "machine-id"
    if content is not None:
        path.write_text(content)
    (finding,) = needs._missing_identity("this machine", path, "1 1 8:1 / / rw - ext4 /dev/vda rw\n")
    assert "run systemd-machine-id-setup" in str(finding)


def test_a_plain_chroot_is_recognised(tmp_path: Path) -> None:
    """There the root folder is in no mount table."""
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    chroot = "30 23 0:26 / /sys rw - sysfs sysfs rw\n31 23 0:27 / /proc rw - proc proc rw\n"
    (finding,) = needs._missing_identity("this machine", tmp_path / "machine-id", chroot)
    assert finding.fix == "bind-mount the folder onto itself before entering it"
