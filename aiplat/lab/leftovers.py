"""Finds and removes every trace of a lab by its names, whatever was or was not written down about it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.lab import cgroups, egress, forwarding, keys, machine_limits, rootfs
from aiplat.lab.bridge import bridge_links, remove_links
from aiplat.lab.machine import (
    all_machines,
    end_all,
    remove_run_files,
    run_files,
    running_below,
    still_working_on,
)
from aiplat.lab.names import cgroup_name, table_name
from aiplat.lab.record import hosts_dir, lab_folder
from aiplat.lab.tools import attempt
from aiplat.lab.tree import remove_tree
from aiplat.state import cache_home, state_home

_WAIT_SECONDS = 30


@dataclass(frozen=True)
class Leftovers:
    """Everything on this machine that carries a lab's names."""

    processes: tuple[int, ...]
    mounts: tuple[str, ...]
    links: tuple[str, ...]
    tables: tuple[str, ...]
    groups: tuple[Path, ...]
    files: tuple[Path, ...]

    def __bool__(self) -> bool:
        """Whether anything was found."""
        return any((self.processes, self.mounts, self.links, self.tables, self.groups, self.files))


def look(lab: str) -> Leftovers:
    """Return every trace of the lab: processes, mounts, links, nftables tables, control groups and files."""
    groups = cgroups.lab_groups(cgroups.this_machine(), lab)
    machines = {m.pid for m in running_below(hosts_dir(lab))}
    working = set(still_working_on(lab_folder(lab)))
    return Leftovers(
        processes=tuple(sorted(cgroups.processes(groups) | machines | working)),
        mounts=mounts_below(lab_folder(lab), Path("/proc/self/mountinfo").read_text()),
        links=bridge_links(lab),
        tables=_tables(lab),
        groups=tuple(g for g in groups if g.is_dir()),
        files=(*_folder(lab), *run_files(_machines(lab)), *_published(lab), *rootfs.unfinished_builds()),
    )


def remove(lab: str) -> tuple[str, ...]:
    """Remove every trace of the lab and return a sentence for each thing that was removed.

    Raises:
        BadInput: a lab of this name runs from another state folder; nothing was removed.
        AiplatError: something could not be removed; running it again continues.
    """
    _refuse_foreign(lab)
    found = look(lab)
    end_all(found.groups, found.processes)
    for mount in reversed(found.mounts):
        attempt(("umount", "--lazy", mount))
    _until(lambda: not remove_links(lab), f"links {', '.join(found.links)} do not go away")
    egress.remove_table(lab)
    forwarding.withdraw(lab)
    cgroups.remove(found.groups)
    if not _other_labs():
        machine_limits.put_back()
    if _published(lab):
        keys.withdraw(state_home() / "sites" / lab)
    remove_run_files(_machines(lab))
    if rootfs.unfinished_builds():
        rootfs.remove_unfinished(cache_home() / "lab")
    remove_tree(lab_folder(lab))
    _remove_if_empty(lab_folder(lab).parent)
    return _sentences(found)


def foreign_state(lab: str) -> Path | None:
    """Return the state folder of a running lab of this name that is not ours, or None."""
    groups = cgroups.lab_groups(cgroups.this_machine(), lab)
    pids = cgroups.processes(groups)
    trees = (m.tree for m in all_machines() if m.pid in pids)
    return next((tree.parents[3] for tree in trees if tree.parent != hosts_dir(lab)), None)


def _refuse_foreign(lab: str) -> None:
    other = foreign_state(lab)
    if other is not None:
        problem = f"a lab of this name runs from another state folder, {other}"
        raise BadInput(Finding(f"lab {lab}", problem, f"AIPLAT_STATE={other.parent} aiplat lab down {lab}"))


def mounts_below(folder: Path, mountinfo: str) -> tuple[str, ...]:
    """Return the mount points at or below `folder` in the text of /proc/self/mountinfo, outermost first."""
    points = (line.split()[4].encode().decode("unicode_escape") for line in mountinfo.splitlines())
    return tuple(p for p in points if Path(p).is_relative_to(folder))


def _machines(lab: str) -> str:
    return f"{lab}.*"


def _published(lab: str) -> tuple[Path, ...]:
    """Keys in the site's state: only a lab writes `ssh_key` there, without one nothing is a lab's."""
    site = state_home() / "sites" / lab
    return keys.published(site) if (site / "ssh_key").exists() or lab_folder(lab).is_dir() else ()


def _folder(lab: str) -> tuple[Path, ...]:
    return (lab_folder(lab),) if lab_folder(lab).is_dir() else ()


def _tables(lab: str) -> tuple[str, ...]:
    own = (f"inet {table_name(lab)}",) if egress.table_exists(lab) else ()
    return (*own, *(f"(rule) {chain}" for chain in forwarding.found(lab)))


def _other_labs() -> bool:
    roots = {h.mount for h in cgroups.this_machine()}
    return any(group.is_dir() for root in roots for group in root.glob(cgroup_name("*")))


def _until(condition: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AiplatError(Finding("lab", problem, "run it again"))
        time.sleep(0.05)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _sentences(found: Leftovers) -> tuple[str, ...]:
    said = []
    if found.processes:
        said.append(f"{len(found.processes)} processes ended")
    said += [f"mount {mount}" for mount in found.mounts]
    said += [f"link {link}" for link in found.links]
    said += [f"nftables table {table}" for table in found.tables]
    said += [f"control group {group}" for group in found.groups]
    said += [f"{path}" for path in found.files]
    return tuple(said)
