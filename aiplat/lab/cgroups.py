"""One control group per lab host in every hierarchy, version 1 or 2; which processes go in is machine's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiplat.errors import AiplatError, Finding
from aiplat.lab.names import cgroup_name

_NEEDED_V2 = ("cpu", "cpuset", "io", "memory", "pids")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted control group tree; `cpuset` groups of version 1 are unusable until they are filled."""

    mount: Path
    version: Literal[1, 2]
    options: frozenset[str]


def mounted_hierarchies(mountinfo: str) -> tuple[Hierarchy, ...]:
    """Return every hierarchy named in `mountinfo` (the text of /proc/self/mountinfo), each once."""
    found: dict[tuple[str, frozenset[str]], Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, tail = before.split(), after.split()
        if len(tail) < 3 or tail[0] not in ("cgroup", "cgroup2"):
            continue
        options = frozenset(tail[2].split(",")) - {"rw", "ro"}
        version: Literal[1, 2] = 2 if tail[0] == "cgroup2" else 1
        key = (tail[0], options if version == 1 else frozenset())
        found.setdefault(key, Hierarchy(Path(fields[4]), version, options))
    return tuple(found.values())


def this_machine() -> tuple[Hierarchy, ...]:
    """Return the hierarchies mounted here."""
    return mounted_hierarchies(Path("/proc/self/mountinfo").read_text())


def lab_groups(hierarchies: Iterable[Hierarchy], lab: str) -> tuple[Path, ...]:
    """Return the lab's own group in each hierarchy."""
    return tuple(h.mount / cgroup_name(lab) for h in hierarchies)


def make_host_groups(hierarchies: Iterable[Hierarchy], lab: str, host: str) -> tuple[Path, ...]:
    """Make the host's group in each hierarchy and return their paths; groups that exist are used as they are.

    Hosts that shared a group would see each other's pods, and their kubelets would fight over them.

    Raises:
        AiplatError: with version 2 alone, a controller that Kubernetes needs cannot be handed down.
    """
    trees = tuple(hierarchies)
    only_v2 = all(h.version == 2 for h in trees)
    groups = []
    for tree in trees:
        lab_group = tree.mount / cgroup_name(lab)
        group = lab_group / host
        group.mkdir(parents=True, exist_ok=True)
        if tree.version == 1 and "cpuset" in tree.options:
            _fill_cpuset(lab_group)
            _fill_cpuset(group)
        elif only_v2:
            _hand_down_controllers(tree.mount)
            _hand_down_controllers(lab_group)
        groups.append(group)
    return tuple(groups)


def _fill_cpuset(group: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (group / name).read_text().strip():
            (group / name).write_text((group.parent / name).read_text())


def _hand_down_controllers(group: Path) -> None:
    available = (group / "cgroup.controllers").read_text().split()
    enabled = (group / "cgroup.subtree_control").read_text().split()
    for controller in _NEEDED_V2:
        if controller not in available or controller in enabled:
            continue
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            problem = f"the {controller} controller cannot be handed to lab hosts ({error.strerror})"
            fix = "move the processes in this group to a child group, or run the lab outside this container"
            raise AiplatError(Finding(str(group), problem, fix)) from error


def processes(groups: Iterable[Path]) -> set[int]:
    """Return the ids of all processes in `groups` and the groups below them."""
    found: set[int] = set()
    for group in groups:
        for folder in _bottom_up(group):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
    return found - {0}


def remove(groups: Iterable[Path]) -> tuple[Path, ...]:
    """Remove `groups` with everything below and return those that were there; none may hold a process."""
    removed = []
    for group in groups:
        if not group.is_dir():
            continue
        for folder in _bottom_up(group):
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()
        removed.append(group)
    return tuple(removed)


def _bottom_up(group: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        for child in sorted(group.iterdir()):
            if child.is_dir() and not child.is_symlink():
                yield from _bottom_up(child)
        yield group
