"""Building: complete, once, again after harm, on after an interruption."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.bundle import build as building
from aiplat.bundle.build import build_bundle, open_ready
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import verify
from aiplat.bundle.document import lock_digest
from aiplat.catalog.lockfile import read_lock
from aiplat.errors import AiplatError, BadInput
from aiplat.supply.oci import blob_path
from tests.supply.worlds import RECIPES, Workshop, failing, lock, silent, site, supply

Build = Callable[..., Bundle]
NAMES = [name for _, name, _ in RECIPES]


def test_a_bundle_is_an_oci_layout_with_every_artifact(bundle: Bundle) -> None:
    """The index names each artifact with its kind and component."""
    assert json.loads((bundle.path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((bundle.path / "index.json").read_text())
    named = {
        m["annotations"]["org.opencontainers.image.ref.name"]: (
            m["annotations"]["dev.aiplat.kind"],
            m["digest"],
        )
        for m in index["manifests"]
    }
    assert named == {f"{a.name}:1.0.0": (a.kind, a.digest) for a in bundle.lock.artifacts}
    assert {m["platform"]["architecture"] for m in index["manifests"]} == {"amd64"}


def test_the_lock_is_complete_and_written(bundle: Bundle, state: Path) -> None:
    """lock.yaml has digests and sizes and is the lock inside the bundle."""
    written = state / "sites" / "ward" / "lock.yaml"
    assert read_lock(written) == bundle.lock
    assert bundle.lock.complete
    assert bundle.document.lock_digest == lock_digest(bundle.lock)
    assert written.stat().st_mode & 0o777 == 0o600


def test_content_is_linked_not_copied(bundle: Bundle, tmp_path: Path) -> None:
    """On one file system a blob exists once."""
    for blob in bundle.lock.artifacts[0].blobs:
        assert bundle.blob_path(blob.digest).stat().st_nlink == 2


def test_building_again_builds_nothing(build: Build, workshop: Workshop) -> None:
    """The same bundle, byte for byte."""
    first = build()
    before = {p: p.read_bytes() for p in first.path.rglob("*") if p.is_file()}
    build()
    assert {p: p.read_bytes() for p in first.path.rglob("*") if p.is_file()} == before
    assert workshop.calls == dict.fromkeys(NAMES, 1)


def test_what_the_lock_no_longer_names_goes(build: Build) -> None:
    """After a new version the old content is gone and the bundle whole."""
    old = {b.digest for a in build().lock.artifacts for b in a.blobs}
    new = build("2.0.0")
    kept = {b.digest for a in new.lock.artifacts for b in a.blobs}
    assert not any(blob_path(new.path, digest).exists() for digest in old - kept)
    assert verify(new.path) == []


def test_a_failure_lets_the_others_finish(tmp_path: Path) -> None:
    """All findings come at once; what was finished is not built again."""
    workshop = Workshop(failing(NAMES[2]))
    with pytest.raises(AiplatError, match="does not compile"):
        build_bundle(site(), lock(), supply(tmp_path / "cache", workshop), silent)
    workshop.before = lambda _: None
    build_bundle(site(), lock(), supply(tmp_path / "cache", workshop), silent)
    assert workshop.calls == {**dict.fromkeys(NAMES, 1), NAMES[2]: 2}


def test_harm_in_bundle_and_cache_is_made_good(build: Build, workshop: Workshop) -> None:
    """A hard link shares its bits with the cache, so the artifact is built again, once."""
    first = build()
    victim = first.blob_path(str(first.lock.artifacts[0].file))
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content)
    build()
    assert verify(first.path) == []
    assert workshop.calls[NAMES[0]] == 2


def test_a_killed_build_goes_on_where_it_stopped(tmp_path: Path, workshop: Workshop) -> None:
    """Killed with SIGKILL inside the third artifact: only that one and what follows is made afterwards."""
    code = f"""
import sys
from pathlib import Path
from aiplat.supply import packages
packages.missing_tools = lambda _: []
packages.PackagesSupply.concurrency = 1
from aiplat.bundle import build
from tests.supply.worlds import *

def hang(job):
    if job.artifact.name == {NAMES[2]!r}:
        (job.folder / "half").touch()
        print("hanging", flush=True)
        sys.stdin.read()

build.build_bundle(site(), lock(), supply(Path({str(tmp_path / "cache")!r}), Workshop(hang)), silent)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "hanging\n"
        killed.kill()
    done = build_bundle(site(), lock(), supply(tmp_path / "cache", workshop), silent)
    assert set(workshop.calls) == set(NAMES[2:])
    assert verify(done.path) == []


def test_an_interruption_stops_the_supply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C does not wait for compilers."""
    stopped: list[bool] = []
    made = supply(tmp_path / "cache", Workshop())
    monkeypatch.setattr(made, "stop", lambda: stopped.append(True))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "_supply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_bundle(site(), lock(), made, silent)
    assert stopped == [True]


def test_a_full_disk_is_a_finding(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback; the next try continues."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(building, "link_or_copy", full)
        with pytest.raises(AiplatError, match="No space left on device; make room"):
            build()
    assert verify(build().path) == []


def test_a_ready_bundle_is_known_without_hashing(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fulfils its own lock and no other; a lost file makes it not ready."""
    assert open_ready(site(), lock()) is None
    made = build()
    monkeypatch.setattr("aiplat.content.sha256_file", _never)
    assert open_ready(site(), lock()) == made
    assert open_ready(site(), lock("2.0.0")) is None
    made.blob_path(str(made.lock.artifacts[0].digest)).unlink()
    assert open_ready(site(), lock()) is None


def _never(path: Path) -> str:
    raise AssertionError(f"{path} was hashed")


def test_a_bundle_of_a_newer_aiplat_is_refused(bundle: Bundle) -> None:
    """With what it was made for and what can be read."""
    document = json.loads((bundle.path / "bundle.json").read_text())
    document["apiVersion"] = "aiplat.dev/v9"
    (bundle.path / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"made for aiplat\.dev/v9, this aiplat reads aiplat\.dev/v1alpha1"):
        Bundle.open(bundle.path)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """A folder without bundle.json, and one with half of it."""
    with pytest.raises(BadInput, match="is not a bundle; make one: aiplat bundle build"):
        Bundle.open(tmp_path)
    (tmp_path / "bundle.json").write_text('{"apiVersion": "aiplat.dev')
    with pytest.raises(BadInput, match="is damaged"):
        Bundle.open(tmp_path)
