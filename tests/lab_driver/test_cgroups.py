"""Control groups for lab hosts: which hierarchies there are, and what is made in each."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aiplat.errors import AiplatError
from aiplat.lab.cgroups import Hierarchy, make_host_groups, mounted_hierarchies, processes

# As /proc/self/mountinfo reads on a machine with version 1 controllers beside an empty version 2 tree.
HYBRID = """\
30 23 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup rw
35 23 0:28 / /mnt/again rw,relatime - cgroup cgroup rw,cpuset
"""
# As it reads on a Debian 12 machine as installed.
UNIFIED = (
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
)


def test_a_hybrid_machine_has_every_controller_once() -> None:
    """A hierarchy mounted twice is used at its first place, the empty version 2 tree counts too."""
    found = mounted_hierarchies(HYBRID)
    assert [(str(h.mount), h.version) for h in found] == [
        ("/sys/fs/cgroup/cpu,cpuacct", 1),
        ("/sys/fs/cgroup/cpuset", 1),
        ("/sys/fs/cgroup/systemd", 1),
        ("/sys/fs/cgroup/unified", 2),
    ]


def test_a_unified_machine_has_one_hierarchy() -> None:
    """Version 2 alone is one tree."""
    assert [(str(h.mount), h.version) for h in mounted_hierarchies(UNIFIED)] == [("/sys/fs/cgroup", 2)]


def test_cpuset_groups_are_filled_before_anything_is_put_in(tmp_path: Path) -> None:
    """A version 1 cpuset group refuses processes until it has processors and memory nodes."""
    root, lab, host = tmp_path, tmp_path / "aiplat-lab-t-lab", tmp_path / "aiplat-lab-t-lab" / "s1"
    for group, cpus in ((root, "0-1\n"), (lab, "\n"), (host, "\n")):
        group.mkdir(exist_ok=True)
        (group / "cpuset.cpus").write_text(cpus)
        (group / "cpuset.mems").write_text("0\n" if cpus.strip() else "\n")
    groups = make_host_groups([Hierarchy(root, 1, frozenset({"cpuset"}))], "t-lab", "s1")
    assert groups == (host,)
    assert [(g / f).read_text() for g in (lab, host) for f in ("cpuset.cpus", "cpuset.mems")] == [
        "0-1\n",
        "0\n",
    ] * 2


def test_version_2_hands_down_what_kubernetes_needs(tmp_path: Path) -> None:
    """The root's and the lab's groups pass on each needed controller that exists."""
    lab = tmp_path / "aiplat-lab-t-lab"
    lab.mkdir()
    for group in (tmp_path, lab):
        (group / "cgroup.controllers").write_text("cpu memory pids rdma\n")
        (group / "cgroup.subtree_control").write_text("cpu memory\n")
    make_host_groups([Hierarchy(tmp_path, 2, frozenset())], "t-lab", "s1")
    assert [(g / "cgroup.subtree_control").read_text() for g in (tmp_path, lab)] == ["+pids"] * 2


def test_an_empty_version_2_tree_beside_version_1_is_left_as_it_is(tmp_path: Path) -> None:
    """On a hybrid machine the version 2 tree has no controllers to hand down."""
    legacy, unified = tmp_path / "memory", tmp_path / "unified"
    groups = make_host_groups(
        [Hierarchy(legacy, 1, frozenset({"memory"})), Hierarchy(unified, 2, frozenset())], "t-lab", "s1"
    )
    assert all(group.is_dir() for group in groups)
    assert not (unified / "cgroup.subtree_control").exists()


def test_a_controller_that_cannot_be_handed_down_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside another container the root group holds processes, and the kernel answers EBUSY."""
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("\n")

    def refuse(_path: Path, _text: str) -> int:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(AiplatError, match=r"the memory controller cannot be handed to lab hosts .*busy"):
        make_host_groups([Hierarchy(tmp_path, 2, frozenset())], "t-lab", "s1")


def test_processes_of_nested_groups_are_found(tmp_path: Path) -> None:
    """Pods' processes sit many groups down; a group that just went away is not an error."""
    deep = tmp_path / "s1" / "kubepods" / "pod1"
    deep.mkdir(parents=True)
    (deep / "cgroup.procs").write_text("41\n42\n")
    (tmp_path / "cgroup.procs").write_text("0\n7\n")
    assert processes([tmp_path, tmp_path / "gone"]) == {7, 41, 42}
