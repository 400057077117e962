"""Moving blobs: whole, resumed, cut, damaged, and onto a full disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiplat.catalog.artifacts import Blob
from aiplat.errors import AiplatError
from aiplat.fleet.remote import receive_blobs
from aiplat.fleet.transfer import prune_blobs, push_blobs
from aiplat.hosts.paths import paths_of
from aiplat.site.models import Site

CONTENT = bytes(range(256)) * 9000  # more than two pieces


class Source:
    """A folder of blobs, named by what they should be."""

    signed = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(self, content: bytes) -> Blob:
        """Put a blob into the folder."""
        name = hashlib.sha256(content).hexdigest()
        (self.folder / name).write_bytes(content)
        return Blob(digest=f"sha256:{name}", size=len(content))

    def blob_path(self, digest: str) -> Path:
        """Return where a blob is."""
        return self.folder / digest.removeprefix("sha256:")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return an empty source."""
    return Source(tmp_path / "bundle")


def on_host(host: Path, blob: Blob, suffix: str = "") -> Path:
    """Return where a blob is on the host."""
    return host / "blobs/sha256" / (blob.digest.removeprefix("sha256:") + suffix)


def push(site: Site, source: Source, *blobs: Blob) -> dict[str, int]:
    """Push blobs to the server alone."""
    return push_blobs(site, {"s1": blobs}, source, "run-1", lambda _host, _done, _total: None)


def test_a_blob_arrives_whole_and_private(site: Site, host_here: Path, source: Source) -> None:
    """It has its content, root alone may read it, and the bytes moved are counted."""
    blob = source.add(CONTENT)
    assert push(site, source, blob) == {"s1": len(CONTENT)}
    assert on_host(host_here, blob).read_bytes() == CONTENT
    assert stat.S_IMODE(on_host(host_here, blob).stat().st_mode) == 0o600


def test_what_is_there_is_not_moved_again(site: Site, host_here: Path, source: Source) -> None:
    """A second push moves nothing."""
    blob = source.add(CONTENT)
    push(site, source, blob)
    assert push(site, source, blob) == {"s1": 0}


def test_a_part_is_continued(site: Site, host_here: Path, source: Source) -> None:
    """Only the rest of a transfer that was cut is moved."""
    blob = source.add(CONTENT)
    part = on_host(host_here, blob, ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1_000_000])
    assert push(site, source, blob) == {"s1": len(CONTENT) - 1_000_000}
    assert on_host(host_here, blob).read_bytes() == CONTENT
    assert not part.exists()


def test_a_damaged_part_is_moved_once_more_whole(site: Site, host_here: Path, source: Source) -> None:
    """A bit that flipped in what was left behind does not end up under the blob's name."""
    blob = source.add(CONTENT)
    part = on_host(host_here, blob, ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\xff" + CONTENT[1:1_000_000])
    moved = push(site, source, blob)["s1"]
    assert moved == len(CONTENT) - 1_000_000 + len(CONTENT)
    assert on_host(host_here, blob).read_bytes() == CONTENT


def test_a_blob_cut_short_on_the_host_is_repaired(site: Site, host_here: Path, source: Source) -> None:
    """A file that is shorter than it arrived is continued, not believed."""
    blob = source.add(CONTENT)
    push(site, source, blob)
    os.truncate(on_host(host_here, blob), 5)
    assert push(site, source, blob) == {"s1": len(CONTENT) - 5}
    assert on_host(host_here, blob).read_bytes() == CONTENT


def test_a_flipped_bit_in_the_source_is_refused_and_named(
    site: Site, host_here: Path, source: Source
) -> None:
    """A blob that is not what its name says never gets that name on a host."""
    blob = source.add(CONTENT)
    path = source.blob_path(blob.digest)
    path.write_bytes(CONTENT[:-1] + b"\x00")
    with pytest.raises(AiplatError, match=f"{path}: arrives with another digest than its name"):
        push(site, source, blob)
    assert list((host_here / "blobs/sha256").iterdir()) == []


def test_a_missing_blob_is_named(site: Site, host_here: Path, source: Source) -> None:
    """What the source lacks is said before anything is sent of it."""
    blob = Blob(digest="sha256:" + "0" * 64, size=3)
    with pytest.raises(AiplatError, match="is missing or not 3 bytes long"):
        push(site, source, blob)


def test_progress_ends_at_the_total(site: Site, host_here: Path, source: Source) -> None:
    """Progress is in bytes per host, rises, and its last value is the whole."""
    blobs = [source.add(CONTENT), source.add(b"small")]
    seen: list[tuple[str, int, int]] = []
    push_blobs(site, {"s1": blobs}, source, "run-1", lambda *step: seen.append(step))
    done = [d for _, d, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == ("s1", len(CONTENT) + 5, len(CONTENT) + 5)


def test_a_stream_that_breaks_leaves_a_part_and_no_name(tmp_path: Path) -> None:
    """The operator's side going away in the middle is survived: the next run continues there."""
    name = hashlib.sha256(CONTENT).hexdigest()
    request = b'{"paths": {"data": "", "blobs": ""}, "blobs": {"%s": %d}}\n' % (name.encode(), len(CONTENT))
    done = subprocess.run(
        [sys.executable, receive_blobs.__file__],
        input=request + CONTENT[:500_000],
        env={**os.environ, "AIPLAT_BLOBS": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert (tmp_path / "sha256" / f"{name}.part").stat().st_size == 500_000
    assert not (tmp_path / "sha256" / name).exists()


def test_space_is_looked_at_before_anything_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A host without the space says so in MiB and takes nothing."""
    (tmp_path / "sha256").mkdir()
    space: Any = os.statvfs(tmp_path)
    full = os.statvfs_result((space.f_bsize, 1024, 1000, 100, 100, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    receive_blobs.take(tmp_path, {"a" * 64: 1 << 30}, io.BytesIO())
    assert "1024 MiB must be moved" in capsys.readouterr().out


def test_a_disk_that_fills_up_on_the_way_is_told(tmp_path: Path) -> None:
    """A write that fails is a sentence, and the blob has no name."""
    name = hashlib.sha256(CONTENT).hexdigest()
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, {resource.RLIM_INFINITY})); "
    request = b'{"paths": {"data": "", "blobs": ""}, "blobs": {"%s": %d}}\n' % (name.encode(), len(CONTENT))
    program = limit + f"import runpy; runpy.run_path({receive_blobs.__file__!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=request + CONTENT,
        env={**os.environ, "AIPLAT_BLOBS": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert b'"error": "File too large' in done.stdout
    assert not (tmp_path / "sha256" / name).exists()


def test_one_host_that_fails_does_not_stop_the_others(site: Site, host_here: Path, source: Source) -> None:
    """All findings come together, and the healthy host got its blobs."""
    good, missing = source.add(CONTENT), Blob(digest="sha256:" + "1" * 64, size=3)
    with pytest.raises(AiplatError) as failure:
        push_blobs(site, {"s1": [good], "a1": [missing]}, source, "run-1", lambda _h, _d, _t: None)
    assert len(failure.value.findings) == 1
    assert on_host(host_here, good).exists()


def test_pruning_removes_what_is_not_kept(site: Site, host_here: Path, source: Source) -> None:
    """Old blobs go, kept ones stay and still count as staged."""
    old, kept = source.add(b"old"), source.add(b"kept")
    push(site, source, old, kept)
    assert prune_blobs(site, {"s1": [kept.digest]}, "run-1") == {"s1": 3}
    assert not on_host(host_here, old).exists()
    assert push(site, source, kept) == {"s1": 0}


def test_a_host_has_its_data_folder_on_record(tmp_path: Path) -> None:
    """Which one it is and what was made for it is known before anything is in it; another one is refused."""
    (tmp_path / "data").mkdir()
    record, folder = tmp_path / "data.json", tmp_path / "data/ai/plat"
    paths = paths_of(str(folder)).model_dump()
    for _ in range(2):
        receive_blobs.record_data(paths, record)
        told = json.loads(record.read_text())
        assert told["made"] == [str(folder), str(folder.parent)]
        assert told["paths"]["blobs"] == f"{folder}/blobs"
    assert folder.is_dir()
    with pytest.raises(ValueError, match=f"its data is in {folder}"):
        receive_blobs.record_data(paths_of(str(tmp_path / "other")).model_dump(), record)
    assert not (tmp_path / "other").exists()
