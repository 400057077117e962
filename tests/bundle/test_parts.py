"""A bundle in parts: the same bundle comes out, whatever was cut off, is missing, damaged or full."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import verify
from aiplat.bundle.parts import join as joining
from aiplat.bundle.parts import split as splitting
from aiplat.bundle.parts.join import Joined, join_bundle
from aiplat.bundle.parts.listing import LIST, BundleParts, read_list
from aiplat.bundle.parts.resumed import write_resumed
from aiplat.bundle.parts.split import Written, list_parts, split_bundle
from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError, BadInput, CheckFailed
from tests.supply.worlds import silent

SIZE = 20_000
"""Bytes of a part in these tests: some files span parts, some parts hold several files."""


def split(bundle: Bundle, *folders: Path, size: int = SIZE, base: Bundle | None = None) -> Written:
    """Write all parts of a bundle."""
    listed = list_parts(bundle, size, base, folders, silent)
    return split_bundle(bundle.path, listed, folders, range(1, len(listed.parts) + 1), silent)


def join(*folders: Path, to: Path, base: Bundle | None = None) -> Joined:
    """Put a bundle together."""
    return join_bundle(folders, to, base, silent)


def content(path: Path) -> dict[str, bytes]:
    """Return all files of a folder by their names."""
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def parts_in(folder: Path) -> list[Path]:
    """Return the parts of a folder in their order."""
    return sorted(folder.glob("bundle.part*"))


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """Return a folder that parts may go to."""
    return tmp_path / "medium"


@pytest.mark.parametrize("size", [997, SIZE, 1 << 30])
def test_a_bundle_comes_out_of_its_parts_as_it_was(
    bundle: Bundle, medium: Path, tmp_path: Path, size: int
) -> None:
    """Byte for byte with what a signature is, in parts smaller than its files and in one that is larger."""
    (bundle.path / "bundle.signed.json").write_text("a statement")
    (bundle.path / "bundle.signed.json.sig").write_text("its signature")
    split(bundle, medium, size=size)
    assert all(part.stat().st_size <= size for part in parts_in(medium))
    joined = join(medium, to=tmp_path / "out")
    assert content(tmp_path / "out") == content(bundle.path)
    assert joined.bundle.document == bundle.document
    assert join(medium, to=tmp_path / "out").taken == 0


def test_parts_are_checked_with_standard_tools(bundle: Bundle, medium: Path) -> None:
    """SHA256SUMS is in the form that sha256sum reads."""
    split(bundle, medium)
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=medium, check=False)
    assert done.returncode == 0


def test_media_of_different_sizes_are_filled_one_after_the_other(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part goes to the first with room; joined from both, in whatever order they are named."""
    small, large = tmp_path / "small", tmp_path / "large"
    room = {small: 2 * SIZE, large: 1 << 40}
    monkeypatch.setattr(splitting, "_SPARE", 0)
    monkeypatch.setattr(splitting, "_disk", hash)
    monkeypatch.setattr(splitting, "_free", lambda folder: room[folder])
    split(bundle, small, large)
    assert [len(parts_in(small)), len(parts_in(large)) > 0] == [2, True]
    join(large, small, to=tmp_path / "out")
    assert content(tmp_path / "out") == content(bundle.path)


def test_too_little_room_is_said_before_anything_is_written(
    bundle: Bundle, medium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what is missing, and what to do; the same for the disk that a bundle is joined on."""
    monkeypatch.setattr(splitting, "_free", lambda _: splitting._SPARE + SIZE)
    with pytest.raises(AiplatError, match=r"no room for . of . parts, from bundle.part002 on .*--parts"):
        split(bundle, medium)
    assert list(medium.iterdir()) == []
    monkeypatch.undo()


def test_a_full_disk_is_said_before_joining(
    bundle: Bundle, medium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written to the target."""
    split(bundle, medium)
    monkeypatch.setattr(joining, "_SPARE", 1 << 60)
    with pytest.raises(AiplatError, match=r"MB are free, but .* MB are to come; make room"):
        join(medium, to=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_medium_after_the_other_makes_the_bundle(bundle: Bundle, medium: Path, tmp_path: Path) -> None:
    """What the first has is taken, the parts that are missing are named; until then it is not a bundle."""
    listed = list_parts(bundle, SIZE, None, [medium], silent)
    count = len(listed.parts)
    first, second = tmp_path / "first", tmp_path / "second"
    split_bundle(bundle.path, listed, [first], range(1, 3), silent)
    split_bundle(bundle.path, listed, [second], range(3, count + 1), silent)
    out = tmp_path / "out"
    with pytest.raises(AiplatError) as lacking:
        join(first, to=out)
    assert [f.where for f in lacking.value.findings] == [f"bundle.part{n:03}" for n in range(3, count + 1)]
    assert f"part 3 of {count} is missing" in str(lacking.value)
    with pytest.raises(BadInput, match="parts are missing; run `aiplat bundle join` again"):
        Bundle.open(out)
    (second / LIST).unlink()  # the list that came with the first is enough
    joined = join(second, to=out)
    assert 0 < joined.taken < listed.size
    assert content(out) == content(bundle.path)


def test_a_damaged_a_cut_and_a_missing_part_are_named(bundle: Bundle, medium: Path, tmp_path: Path) -> None:
    """All at once, and once they are there again only what they hold has to come."""
    split(bundle, medium)
    damaged, cut, gone = parts_in(medium)[:3]
    kept = content(medium)
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:-1])
    gone.unlink()
    with pytest.raises(AiplatError) as found:
        join(medium, to=tmp_path / "out")
    said = [str(finding) for finding in found.value.findings]
    assert any(line.startswith(f"{damaged}: its content is not what the list says") for line in said)
    assert any(line.startswith(f"{cut}: has {SIZE - 1} bytes instead of {SIZE}") for line in said)
    assert any(line.startswith(f"{gone.name}: part 3 of ") for line in said)
    for name, data in kept.items():
        (medium / name).write_bytes(data)
    assert join(medium, to=tmp_path / "out").taken < bundle.document.size
    assert verify(tmp_path / "out") == []


@pytest.mark.parametrize("leg", ["split", "join"])
def test_what_was_killed_resumes_where_it_stopped(
    bundle: Bundle, medium: Path, tmp_path: Path, leg: str
) -> None:
    """Killed with SIGKILL in the middle: what was written before is not read from the other side again."""
    out = tmp_path / "out"
    if leg == "join":
        split(bundle, medium)
    code = f"""
import os, signal
from pathlib import Path
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.parts import join, split
split.CHUNK = join.CHUNK = 4096

def die(phase, done, total):
    if phase in (split.WRITE, join.JOIN) and done > total // 2:
        os.kill(os.getpid(), signal.SIGKILL)

if {leg!r} == "split":
    bundle = Bundle.open(Path({str(bundle.path)!r}))
    listed = split.list_parts(bundle, {SIZE}, None, [], die)
    split.split_bundle(bundle.path, listed, [Path({str(medium)!r})], range(1, 99), die)
else:
    join.join_bundle([Path({str(medium)!r})], Path({str(out)!r}), None, die)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    there = [p for p in (medium if leg == "split" else out).rglob("*.partial") if p.stat().st_size]
    assert len(there) == 1
    if leg == "split":
        result = split(bundle, medium)
        assert result.kept
        assert result.written
        joined = join(medium, to=out)
    else:
        joined = join(medium, to=out)
        assert joined.taken < bundle.document.size * 2 // 3
    assert content(out) == content(bundle.path)
    assert joined.bundle.document == bundle.document


def test_a_torn_part_and_a_torn_blob_are_written_again(bundle: Bundle, medium: Path, tmp_path: Path) -> None:
    """A power cut may leave a file of the right size with other bytes in it."""
    medium.mkdir()
    list_parts(bundle, SIZE, None, [], silent).write(medium)
    (medium / "bundle.part001.partial").write_bytes(b"\0" * 5000)
    split(bundle, medium)
    blob = bundle.lock.of("model")[0].blobs[-1].digest.removeprefix("sha256:")
    torn = tmp_path / "out" / "blobs" / "sha256" / f"{blob}.partial"
    (tmp_path / "out" / ".joining").mkdir(parents=True)
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"\0" * 1000)
    with pytest.raises(AiplatError, match="run the same command again"):
        join(medium, to=tmp_path / "out")
    join(medium, to=tmp_path / "out")
    assert content(tmp_path / "out") == content(bundle.path)


def test_a_file_system_without_large_files_is_named(tmp_path: Path) -> None:
    """The size of a part is what to change; what was written stays until then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(AiplatError, match=r"cannot be written: File too large.*smaller --size"):
            write_resumed(tmp_path / "f", 9000, "sha256:" + "0" * 64, lambda _: iter([b"x" * 9000]), silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_altered_bundle_is_not_split(bundle: Bundle, medium: Path) -> None:
    """Every file that was altered or is missing is named, and nothing is written."""
    model, chart = bundle.lock.of("model")[0], bundle.lock.of("chart")[0]
    altered, missing = bundle.blob_path(model.blobs[-1].digest), bundle.blob_path(str(chart.file))
    data = bytearray(altered.read_bytes())
    data[7] ^= 1
    altered.write_bytes(data)
    missing.unlink()
    with pytest.raises(CheckFailed) as found:
        split(bundle, medium)
    names = {str(path.relative_to(bundle.path)) for path in (altered, missing)}
    assert {finding.where for finding in found.value.findings} == names
    assert not medium.exists()


def test_parts_of_something_else_are_not_mixed(
    bundle: Bundle, medium: Path, tmp_path: Path, build: Callable[..., Bundle]
) -> None:
    """Neither when they are written nor when they are joined, nor with a folder that holds other things."""
    split(bundle, medium)
    with pytest.raises(BadInput, match="holds parts of another bundle, of another size"):
        split(bundle, medium, size=SIZE + 1)
    other = tmp_path / "other"
    split(build("2.0.0"), other)
    with pytest.raises(BadInput, match="holds parts of another bundle"):
        join(medium, other, to=tmp_path / "out")
    (other / LIST).unlink()
    with pytest.raises(BadInput, match="holds parts without their list"):
        split(bundle, other)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter").touch()
    with pytest.raises(BadInput, match="is not empty"):
        join(medium, to=tmp_path / "out")
    with pytest.raises(BadInput, match="is another bundle"):
        join(medium, to=Bundle.open(bundle.path).path)
    with pytest.raises(BadInput, match=r"there is no parts\.json"):
        join(tmp_path / "out", to=tmp_path / "out2")


@pytest.fixture
def base(bundle: Bundle, tmp_path: Path) -> Bundle:
    """Return a bundle that was carried earlier."""
    shutil.copytree(bundle.path, tmp_path / "base")
    return Bundle.open(tmp_path / "base")


@pytest.fixture
def new(base: Bundle, bundle: Bundle, medium: Path, tmp_path: Path) -> Bundle:
    """Return a bundle with one artifact more than the base, and one fewer."""
    path = tmp_path / "new"
    shutil.copytree(bundle.path, path)
    document = json.loads((path / "bundle.json").read_bytes())
    data = b"a new blob" * 100
    gone = bundle.lock.of("chart")[0].file
    name = "blobs/sha256/" + sha256_bytes(data).removeprefix("sha256:")
    (path / name).write_bytes(data)
    (path / "blobs/sha256" / str(gone).removeprefix("sha256:")).unlink()
    del document["files"]["blobs/sha256/" + str(gone).removeprefix("sha256:")]
    document["files"][name] = {"sha256": sha256_bytes(data), "size": len(data)}
    text = json.dumps(document).encode()
    (path / "bundle.json").write_bytes(text)
    (path / "bundle.json.sha256").write_text(f"{sha256_bytes(text)[7:]}  bundle.json\n")
    return Bundle.open(path)


def test_a_differential_bundle_is_joined_with_its_base(
    base: Bundle, new: Bundle, medium: Path, tmp_path: Path
) -> None:
    """It has only what the base has not; with the base the new bundle comes out byte for byte."""
    split(new, medium, base=base)
    listed = read_list(medium)
    assert listed is not None
    assert [f.name for f in listed.files if f.name.startswith("blobs/")] == [
        name for name in new.document.files if name not in base.document.files
    ]
    with pytest.raises(BadInput, match=r"join it with its base: aiplat bundle join --base"):
        Bundle.open(medium)
    join(medium, to=tmp_path / "out", base=base)
    assert content(tmp_path / "out") == content(new.path)
    assert verify(tmp_path / "out") == []


def test_a_differential_bundle_with_another_base_is_refused(
    base: Bundle, new: Bundle, bundle: Bundle, medium: Path, tmp_path: Path
) -> None:
    """Without a base, with another one, with a damaged one; and whole parts need none."""
    split(new, medium, base=base)
    out = tmp_path / "out"
    with pytest.raises(BadInput, match="join it with its base: say --base"):
        join(medium, to=out)
    with pytest.raises(BadInput, match="is not the base of these parts"):
        join(medium, to=out, base=new)
    blob = base.blob_path(base.lock.of("model")[0].blobs[-1].digest)
    kept = blob.read_bytes()
    blob.write_bytes(b"x" * len(kept))
    with pytest.raises(CheckFailed, match=f"{blob.name}: was altered.*make the base good first"):
        join(medium, to=out, base=base)
    blob.write_bytes(kept)
    join(medium, to=out, base=base)
    assert content(out) == content(new.path)
    split(bundle, tmp_path / "whole")
    with pytest.raises(BadInput, match="the parts hold the whole bundle; leave --base out"):
        join(tmp_path / "whole", to=tmp_path / "out2", base=base)


def test_parts_that_lack_what_bundle_json_lists_make_no_bundle(
    base: Bundle, new: Bundle, medium: Path, tmp_path: Path
) -> None:
    """A list of others that leaves a blob out, or has one too many, is found before there is a bundle."""
    listed = list_parts(new, 1 << 30, base, [], silent)
    stranger = base.path / "blobs" / "sha256" / base.lock.of("chart")[0].blobs[0].digest[7:]
    blobs = [f for f in listed.files if f.name.startswith("blobs/")]
    document = listed.model_dump(mode="json", by_alias=True)
    own = [f for f in document["files"] if not f["name"].startswith("blobs/")]
    extra = {
        "name": f"blobs/sha256/{stranger.name}",
        "size": stranger.stat().st_size,
        "sha256": f"sha256:{stranger.name}",
    }
    chosen = [*own, extra]
    data = b"".join((new.path / f["name"]).read_bytes() for f in chosen)
    part = {"name": "bundle.part001", "offset": 0, "size": len(data), "sha256": sha256_bytes(data)}
    medium.mkdir()
    (medium / LIST).write_text(json.dumps({**document, "files": chosen, "parts": [part]}))
    (medium / "bundle.part001").write_bytes(data)
    with pytest.raises(CheckFailed) as found:
        join(medium, to=tmp_path / "out", base=base)
    said = {finding.where: finding.problem for finding in found.value.findings}
    assert "neither in the parts nor in the base" in said[blobs[0].name]
    assert not (tmp_path / "out" / "bundle.json").exists()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("files", 0, "name"), "../../etc/passwd"),
        (("files", 0, "name"), "/etc/passwd"),
        (("files", 0, "name"), "blobs/sha256/../../x"),
        (("files", 0, "name"), "parts.json"),
        (("files", 0, "size"), -1),
        (("files", 0, "size"), 10**30),
        (("parts", 0, "name"), "../bundle.part001"),
        (("parts", 0, "size"), 0),
        (("parts", 0, "offset"), 1),
        (("parts", 1, "name"), "bundle.part001"),
        (("site",), "\x1b[2J"),
        (("bundle",), "sha256:../x"),
        (("partSize",), "many"),
    ],
)
def test_a_list_of_others_leads_nowhere(
    bundle: Bundle, medium: Path, where: tuple[str | int, ...], value: object
) -> None:
    """Names, sizes and sums that no split writes are refused as a damaged list."""
    split(bundle, medium)
    document = json.loads((medium / LIST).read_bytes())
    place = document
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    (medium / LIST).write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"parts\.json: is damaged"):
        read_list(medium)


def test_a_list_is_what_it_says(bundle: Bundle) -> None:
    """Written and read again it is the same."""
    listed = list_parts(bundle, SIZE, None, [], silent)
    assert BundleParts.model_validate_json(listed.text) == listed
