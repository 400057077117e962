"""Verifying: every bit counts, and the file is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import verify
from aiplat.bundle.document import CHECKSUM, DOCUMENT, checksum_line
from aiplat.content import sha256_bytes
from aiplat.errors import BadInput
from aiplat.supply.oci import read_json

WHERE = {
    "oci-layout": lambda _: "oci-layout",
    "index": lambda _: "index.json",
    "document": lambda _: "bundle.json",
    "checksum": lambda _: "bundle.json.sha256",
    "manifest": lambda b: _blob(b.lock.of("image")[0].digest),
    "config": lambda b: _blob(_manifest(b, "image")["config"]["digest"]),
    "layer": lambda b: _blob(_manifest(b, "image")["layers"][0]["digest"]),
    "host file": lambda b: _blob(b.lock.of("hostfile")[0].file),
    "chart": lambda b: _blob(b.lock.of("chart")[0].file),
    "model": lambda b: _blob(_manifest(b, "model")["layers"][0]["digest"]),
}
Name = Callable[[Bundle], str]


def _blob(digest: str | None) -> str:
    return f"blobs/sha256/{str(digest).removeprefix('sha256:')}"


def _manifest(bundle: Bundle, kind: str) -> dict[str, list[dict[str, str]]]:
    return read_json(bundle.path, str(bundle.lock.of(kind)[0].digest))  # type: ignore[arg-type]


@pytest.fixture(params=WHERE, ids=lambda name: name.replace(" ", "-"))
def name(request: pytest.FixtureRequest, bundle: Bundle) -> str:
    """Return the relative name of one file of each kind of content."""
    return str(WHERE[request.param](bundle))


def test_a_new_bundle_is_whole(bundle: Bundle) -> None:
    """Nothing is found, and progress ends at the whole size."""
    told: list[tuple[int, int]] = []
    assert verify(bundle.path, on_progress=lambda done, total: told.append((done, total))) == []
    assert told[-1] == (bundle.document.size, bundle.document.size)


@pytest.mark.parametrize("at", ["first", "middle", "last"])
def test_one_flipped_bit_is_found_and_named(bundle: Bundle, name: str, at: str) -> None:
    """Wherever in the file it is, exactly that file is named."""
    path = bundle.path / name
    content = bytearray(path.read_bytes())
    offset = {"first": 0, "middle": len(content) // 2, "last": len(content) - 1}[at]
    content[offset] ^= 1
    _replace(path, bytes(content))
    assert [f.where for f in verify(bundle.path)] == [name]
    assert "was altered" in verify(bundle.path)[0].problem


def test_a_missing_file_is_found_and_named(bundle: Bundle, name: str) -> None:
    """Also one of the bundle's own."""
    (bundle.path / name).unlink()
    assert [(f.where, f.problem) for f in verify(bundle.path)] == [(name, "is missing")]


@pytest.mark.parametrize("change", [-1, 1])
def test_a_shorter_or_longer_file_is_found_and_named(bundle: Bundle, name: str, change: int) -> None:
    """One byte is enough."""
    content = (bundle.path / name).read_bytes()
    _replace(bundle.path / name, content[:-1] if change < 0 else content + b"\n")
    assert [f.where for f in verify(bundle.path)] == [name]


@pytest.mark.parametrize("extra", ["blobs/sha256/" + "0" * 64, "notes.txt", "blobs/.hidden"])
def test_an_added_file_is_found_and_named(bundle: Bundle, extra: str) -> None:
    """Whatever it is called."""
    (bundle.path / extra).write_text("not ours")
    assert [f.where for f in verify(bundle.path)] == [extra]


def test_a_link_in_place_of_content_is_found(bundle: Bundle, tmp_path: Path) -> None:
    """Even one that leads to the very same bytes, which could change later."""
    victim = bundle.path / _blob(bundle.lock.of("model")[0].digest)
    shutil.move(victim, tmp_path / "elsewhere")
    victim.symlink_to(tmp_path / "elsewhere")
    found = verify(bundle.path)
    assert (found[0].where, found[0].problem) == (str(victim.relative_to(bundle.path)), "is missing")


def test_a_forged_document_does_not_pass(bundle: Bundle) -> None:
    """The checksum tells of an altered document, the lock's digest of an altered lock."""
    document = json.loads((bundle.path / "bundle.json").read_text())
    document["lock"]["artifacts"][0]["version"] = "6.6.6"
    data = json.dumps(document).encode()
    _replace(bundle.path / "bundle.json", data)
    assert [f.where for f in verify(bundle.path)] == ["bundle.json"]
    _replace(bundle.path / "bundle.json.sha256", f"{sha256_bytes(data)[7:]}  bundle.json\n".encode())
    assert [f.problem for f in verify(bundle.path)] == ["its lock is not the one its lockDigest names"]


def test_all_findings_come_at_once(bundle: Bundle) -> None:
    """One run names everything."""
    gone = _blob(bundle.lock.of("chart")[0].file)
    cut = _blob(bundle.lock.of("hostfile")[0].file)
    (bundle.path / gone).unlink()
    _replace(bundle.path / cut, b"short")
    (bundle.path / "more").touch()
    assert {f.where for f in verify(bundle.path)} == {gone, cut, "more"}


def test_only_what_will_be_moved_is_hashed(bundle: Bundle) -> None:
    """Harm elsewhere is left for a full check; the bundle's own files always count."""
    model, chart = bundle.lock.of("model")[0], bundle.lock.of("chart")[0]
    victim = bundle.path / _blob(chart.file)
    _replace(victim, b"x" * victim.stat().st_size)
    wanted = [blob.digest for blob in model.blobs]
    assert verify(bundle.path, wanted) == []
    assert [f.where for f in verify(bundle.path, [*wanted, str(chart.file)])] == [_blob(chart.file)]
    _replace(bundle.path / "index.json", b"{}")
    assert [f.where for f in verify(bundle.path, wanted)] == ["index.json"]


def test_content_the_bundle_never_had_is_missing(bundle: Bundle) -> None:
    """A digest that is not listed is named, not overlooked."""
    absent = "sha256:" + "0" * 64
    assert [f.where for f in verify(bundle.path, [absent])] == [_blob(absent)]


def _replace(path: Path, content: bytes) -> None:
    """Give a file new content without touching what shares its bits by hard link."""
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("\x1b[2J\x1b[1;1Hbundle: whole\n", "\\x1b[2J"),
        ("a" * 5000, "is missing"),
        ("../../etc/hostname", "outside of the bundle"),
        ("/etc/hostname", "outside of the bundle"),
        ("a\x00b", "is missing"),
    ],
)
def test_a_name_in_a_bundle_is_shown_safely_and_leads_nowhere(bundle: Bundle, name: str, said: str) -> None:
    """Escape sequences are written out, lines stay lines, and nothing outside is read."""
    document = json.loads((bundle.path / DOCUMENT).read_bytes())
    document["files"][name] = {"sha256": "sha256:" + "0" * 64, "size": 1}
    _write(bundle.path, json.dumps(document).encode())
    found = [str(finding) for finding in verify(bundle.path)]
    assert any(said in sentence for sentence in found)
    assert all(sentence.isprintable() and len(sentence) < 400 for sentence in found)


def test_a_document_that_nests_without_an_end_is_no_bundle(bundle: Bundle) -> None:
    """It ends in a sentence, not in the reader's own error."""
    _write(bundle.path, b'{"lock": ' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    assert verify(bundle.path)
    with pytest.raises(BadInput, match="damaged"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("what", ["sparse", "pipe", "device", "folder"])
@pytest.mark.parametrize("name", [DOCUMENT, CHECKSUM])
def test_what_stands_in_a_documents_place_is_not_read_without_an_end(
    bundle: Bundle, name: str, what: str
) -> None:
    """A pipe is not waited for, and no file fills the memory: it is not a bundle, and that is said."""
    path = bundle.path / name
    path.unlink()
    if what == "sparse":
        with path.open("wb") as stream:
            stream.truncate(256 << 20)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    assert verify(bundle.path)
    if name == DOCUMENT:
        with pytest.raises(BadInput):
            Bundle.open(bundle.path)


def test_no_size_is_less_than_nothing(bundle: Bundle) -> None:
    """Sizes are added up before content is moved."""
    for place in ("files", "blobs"):
        document = json.loads((bundle.path / DOCUMENT).read_bytes())
        sized = (
            document["lock"]["artifacts"][0]["blobs"] if place == "blobs" else [*document["files"].values()]
        )
        sized[0]["size"] = -1
        _write(bundle.path, json.dumps(document).encode())
        with pytest.raises(BadInput, match="damaged"):
            Bundle.open(bundle.path)


@pytest.mark.parametrize("field", ["name", "version", "component", "digest"])
def test_a_lock_whose_words_are_no_names_is_refused(bundle: Bundle, field: str) -> None:
    """A name, version or digest that could be a template, markup or a line of its own never gets further."""
    for text in ("#jinja2: x", "{{ x }}", "[red]x[/]", "a b", "x\ny", "\x1b[2J", ""):
        document = json.loads((bundle.path / DOCUMENT).read_bytes())
        document["lock"]["artifacts"][0][field] = text
        _write(bundle.path, json.dumps(document).encode())
        with pytest.raises(BadInput):
            Bundle.open(bundle.path)


def _write(path: Path, document: bytes) -> None:
    (path / DOCUMENT).write_bytes(document)
    (path / CHECKSUM).write_bytes(checksum_line("sha256:" + hashlib.sha256(document).hexdigest()))
