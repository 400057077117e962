"""The `packages` supply: each artifact once, finished ones stay, and what is missing is said at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aiplat.errors import AiplatError, Finding
from aiplat.supply import packages
from aiplat.supply.contract import Job
from aiplat.supply.oci import blob_path, read_json
from tests.supply.worlds import RECIPES, Workshop, failing, lock, silent, supply

NAMES = [name for _, name, _ in RECIPES]


def test_nothing_is_built_twice(cache_root: Path) -> None:
    """Asked again, also by another supply on the same cache, every artifact comes from there."""
    workshop = Workshop()
    for _ in range(2):
        made = supply(cache_root, workshop)
        for artifact in made.lock.artifacts:
            made.supply(artifact, silent)
    assert workshop.calls == dict.fromkeys(NAMES, 1)


def test_a_supplied_artifact_is_complete(cache_root: Path) -> None:
    """Digest, sizes and content belong together, and the lock's own fields stay."""
    made = supply(cache_root, Workshop())
    for artifact in made.lock.artifacts:
        supplied = made.supply(artifact, silent)
        assert (supplied.artifact.inputs, supplied.artifact.component) == (artifact.inputs, "example")
        manifest = read_json(supplied.folder, str(supplied.artifact.digest))
        digests = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        assert [b.digest for b in supplied.artifact.blobs] == [supplied.artifact.digest, *digests]
        sizes = [blob_path(supplied.folder, b.digest).stat().st_size for b in supplied.artifact.blobs]
        assert sizes == [b.size for b in supplied.artifact.blobs]


def test_what_others_are_made_with_is_made_once(cache_root: Path) -> None:
    """The model asks for its engine; the engine that was asked for too is the same."""
    workshop = Workshop()
    made = supply(cache_root, workshop)
    engine = made.lock.artifact("image", "docker.io/example/server")
    model = made.lock.of("model")[0]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda artifact: made.supply(artifact, silent), (model, engine)))
    assert workshop.calls[engine.name] == 1


def test_other_inputs_are_built_beside(cache_root: Path) -> None:
    """A new version is built; going back to the old one builds nothing."""
    workshop = Workshop()
    for version in ("1.0.0", "2.0.0", "1.0.0"):
        made = supply(cache_root, workshop, lock(version))
        made.supply(made.lock.artifacts[0], silent)
    assert workshop.calls[NAMES[0]] == 2


def test_a_failed_build_leaves_nothing(cache_root: Path) -> None:
    """Next time it is tried again, from an empty folder."""
    workshop = Workshop(failing(NAMES[0]))
    made = supply(cache_root, workshop)
    with pytest.raises(AiplatError, match="does not compile"):
        made.supply(made.lock.artifacts[0], silent)
    assert list((cache_root / "artifacts").iterdir()) == []
    assert list((cache_root / "work").iterdir()) == []
    workshop.before = lambda job: _is_empty(job.folder)
    assert made.supply(made.lock.artifacts[0], silent).artifact.digest
    assert workshop.calls[NAMES[0]] == 2


def _is_empty(folder: Path) -> None:
    assert list(folder.iterdir()) == []


def test_a_damaged_artifact_is_made_again(cache_root: Path) -> None:
    """After `discard` the content is what it was before."""
    workshop = Workshop()
    made = supply(cache_root, workshop)
    first = made.supply(made.lock.artifacts[0], silent)
    blob_path(first.folder, str(first.artifact.file)).write_bytes(b"x" * first.artifact.blobs[-1].size)
    made.discard(first.artifact)
    again = made.supply(made.lock.artifacts[0], silent)
    assert (again.artifact, workshop.calls[NAMES[0]]) == (first.artifact, 2)


def test_missing_tools_stop_before_anything_is_built(
    cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All findings come at once, and only while something is left to build."""
    workshop = Workshop()
    made = supply(cache_root, workshop)
    wrong = [Finding("this machine", "building needs gcc"), Finding("go", "is missing")]
    monkeypatch.setattr(packages, "missing_tools", lambda _: wrong)
    with pytest.raises(AiplatError) as caught:
        made.check(made.lock.artifacts)
    assert (list(caught.value.findings), workshop.calls) == (wrong, {})
    for artifact in made.lock.artifacts:
        made.supply(artifact, silent)
    made.check(made.lock.artifacts)


def test_a_full_disk_is_said_before_building(cache_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has what is free, what is needed and what to do."""
    made = supply(cache_root, Workshop())
    monkeypatch.setattr("aiplat.supply.cache.shutil.disk_usage", lambda _: _Usage())
    with pytest.raises(
        AiplatError, match=r"0\.1 GB are free, but building needs about 3\.0 GB; free some space"
    ):
        made.check(made.lock.artifacts)


class _Usage:
    free = 10**8


def test_a_stopped_supply_starts_no_further_step(cache_root: Path) -> None:
    """A builder between two tools ends at its next step."""
    made = supply(cache_root, Workshop())

    def stop(job: Job) -> None:
        made.stop()
        job.phase("next", 0, 0)

    workshop = Workshop(stop)
    made._builders = workshop.builders
    with pytest.raises(AiplatError, match="was interrupted"):
        made.supply(made.lock.artifacts[0], silent)
