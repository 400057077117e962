"""The cache keeps whole things only, and no more than its cap."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aiplat.content import digest_of
from aiplat.supply.cache import Cache
from aiplat.supply.oci import blob_path
from tests.supply.worlds import Workshop, lock, silent, supply


def test_a_part_is_made_once_for_all_who_wait(tmp_path: Path) -> None:
    """Callers at the same time share one folder."""
    cache = Cache(tmp_path)
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "content").write_text("here")

    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: cache.part(digest_of("part"), make), range(4)))
    assert (len(made), [(f / "content").read_text() for f in folders]) == (1, ["here"])


def test_a_half_made_part_is_not_there(tmp_path: Path) -> None:
    """What a killed process left is cleared before the next try."""
    cache = Cache(tmp_path)
    key = digest_of("part")
    stale = tmp_path / "parts" / f".partial-{key.removeprefix('sha256:')}"
    stale.mkdir(parents=True)
    (stale / "half").touch()
    folder = cache.part(key, lambda new: (new / "whole").touch())
    assert [p.name for p in folder.iterdir()] == ["whole"]
    assert not stale.exists()


@pytest.mark.parametrize("harm", ["remove", "truncate", "record"])
def test_an_artifact_that_lost_something_is_not_there(tmp_path: Path, harm: str) -> None:
    """A blob gone or cut short, or an unreadable record, means: build it again."""
    workshop = Workshop()
    made = supply(tmp_path, workshop)
    artifact = made.lock.artifacts[0]
    supplied = made.supply(artifact, silent)
    blob = blob_path(supplied.folder, str(supplied.artifact.file))
    if harm == "remove":
        blob.unlink()
    elif harm == "truncate":
        os.truncate(blob, 10)
    else:
        (supplied.folder / "artifact.json").write_text("{")
    assert made.supply(artifact, silent).artifact == supplied.artifact
    assert workshop.calls[artifact.name] == 2


def test_the_cap_removes_what_was_used_longest_ago(tmp_path: Path) -> None:
    """What the current lock needs stays whatever its age."""
    cache = Cache(tmp_path)
    keys = [digest_of(number) for number in range(3)]
    for age, key in enumerate(keys):
        folder = cache.part(key, lambda new: (new / "content").write_bytes(b"x" * 1000))
        os.utime(folder, (1000 + age, 1000 + age))
    cache.prune(keep=[keys[0]], cap=2000)
    left = {p.name for p in (tmp_path / "parts").iterdir()}
    assert left == {key.removeprefix("sha256:") for key in (keys[0], keys[2])}


def test_below_the_cap_nothing_goes(tmp_path: Path) -> None:
    """The cap is not a reason to tidy."""
    made = supply(tmp_path, Workshop())
    kept = made.supply(made.lock.artifacts[0], silent)
    made.cache.prune(keep=[])
    assert made.cache.find(lock().artifacts[0]) == kept


def test_work_of_dead_processes_goes(tmp_path: Path) -> None:
    """A folder named after a process that is gone is removed; that of a live one stays."""
    work = tmp_path / "work"
    dead, live = work / "4194999.dead", work / f"{os.getpid()}.live"
    dead.mkdir(parents=True)
    live.mkdir()
    with Cache(tmp_path).work() as mine:
        assert mine.is_dir()
        assert not dead.exists()
        assert live.is_dir()
    assert not mine.exists()
