"""`aiplat bundle scan`: packages of a bundle against advisories that lie in a folder."""

from __future__ import annotations

import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aiplat.bundle import advisories
from aiplat.bundle.advisories import read_advisories, vulnerable
from aiplat.bundle.contents.package import FoundPackage, PackageKind
from aiplat.bundle.contents.read import Contents, contents_of
from aiplat.catalog.artifacts import Artifact
from aiplat.content import digest_of
from aiplat.errors import BadInput
from tests.bundle.made import bundle, go_program
from tests.typed import Typed

STATUS = (
    b"Package: libz1\nStatus: install ok installed\nVersion: 1:1.3-1\nArchitecture: amd64\nSource: zlib\n\n"
)
FILES = {
    "etc/os-release": b"ID=debian\nVERSION_ID=13\n",
    "var/lib/dpkg/status": STATUS,
    "opt/Jinja2-3.1.2.dist-info/METADATA": b"Name: Jinja2\nVersion: 3.1.2\n",
    "usr/bin/tool": go_program("path\ttool\ndep\tgolang.org/x/net\tv0.22.0\th1:x=\n", "go1.26.1"),
}


def advisory(name: str, ecosystem: str, package: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    """Return an advisory as OSV writes it."""
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    affected = {
        "package": {"ecosystem": ecosystem, "name": package},
        "ranges": ranges,
        **more.pop("also", {}),
    }
    return {"id": name, "modified": "2026-05-04T10:00:00Z", "affected": [affected], **more}


def write(folder: Path, *documents: dict[str, Any]) -> Path:
    """Write each into a file of its own."""
    folder.mkdir(exist_ok=True)
    for one in documents:
        (folder / f"{one['id']}.json").write_text(json.dumps(one))
    return folder


def hits(
    tmp_path: Path, kind: PackageKind, name: str, version: str, *documents: dict[str, Any]
) -> list[tuple[str, str]]:
    """Return which advisories name a package, and what fixes it."""
    package = FoundPackage(kind, name, version, "", "", system="debian-13" if kind == "deb" else "")
    digest = digest_of("x")
    artifact = Artifact(kind="image", name="app", version="1", component="x", inputs=digest)
    contents = Contents(artifact, "linux/amd64", digest, (), (package,), ())
    found, _ = vulnerable([contents], read_advisories(write(tmp_path / "osv", *documents)))
    return [(one.advisory.name, one.fixed) for one in found]


@pytest.mark.parametrize(
    ("version", "hit"),
    [
        ("1.0", False),
        ("1.1", True),
        ("1.4.9", True),
        ("1.5", False),
        ("2.0rc1", False),
        ("2.0", True),
        ("2.3", True),
        ("2.4", False),
    ],
)
def test_a_version_lies_in_a_range_by_osvs_rules(tmp_path: Path, version: str, hit: bool) -> None:
    """From introduced to before fixed, and to last_affected itself; the order of events does not count."""
    events = ({"fixed": "1.5"}, {"introduced": "1.1"}, {"introduced": "2.0"}, {"last_affected": "2.3"})
    assert bool(hits(tmp_path, "pypi", "a", version, advisory("A-1", "PyPI", "a", *events))) == hit


def test_an_exact_version_and_a_range_without_an_end_are_hits(tmp_path: Path) -> None:
    """A list of versions counts by itself; what is fixed in none says so."""
    listed = advisory("A-1", "PyPI", "a", also={"versions": ["1.0"]})
    open_ended = advisory("A-2", "PyPI", "A", {"introduced": "0"})
    commits = advisory(
        "A-3", "PyPI", "a", also={"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}
    )
    withdrawn = advisory("A-4", "PyPI", "a", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z")
    found = hits(tmp_path, "pypi", "a", "1.0", listed, open_ended, commits, withdrawn)
    assert found == [("A-1", ""), ("A-2", "")]


def test_debian_compares_as_dpkg_does_and_by_release(tmp_path: Path) -> None:
    """A fix of another release is another package's; tilde and epoch count."""
    fixed = {"introduced": "0"}, {"fixed": "1:2.0-1"}
    mine, other = (advisory(f"D-{n}", f"Debian:{n}", "zlib", *fixed) for n in (13, 12))
    assert hits(tmp_path, "deb", "zlib", "1:2.0-1~deb13u1", mine, other) == [("D-13", "1:2.0-1")]
    assert hits(tmp_path, "deb", "zlib", "1:2.0-1", mine, other) == []


def test_what_an_image_holds_is_found_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    """Debian's by its source, Python's by its plain name, Go's modules and library; exit code 3."""
    made = bundle(tmp_path / "bundle", {"docker.io/example/app": [FILES]})
    folder = write(
        tmp_path / "osv",
        advisory("D-1", "Debian:13", "zlib", {"introduced": "0"}, {"fixed": "1:1.3-2"}, aliases=["CVE-1"]),
        advisory("G-1", "Go", "golang.org/x/net", {"introduced": "0"}, {"fixed": "0.23.0"}),
        advisory("G-2", "Go", "stdlib", {"introduced": "0"}, {"fixed": "1.26.1"}),
    )
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        python = advisory(
            "P-1", "PyPI", "jinja2", {"introduced": "0"}, {"fixed": "3.1.3"}, modified="2026-06-01T00:00:00Z"
        )
        archive.writestr("P-1.json", json.dumps(python))
    run = _runner(monkeypatch, typed)
    code, out, _ = run("scan", str(made.path), "--advisories", str(folder), "--json")
    document = json.loads(out)
    assert (code, [row["advisory"] for row in document["vulnerable"]]) == (3, ["G-1", "P-1", "D-1"])
    assert document["database"]["newest"] == "2026-06-01T00:00:00Z"
    assert document["vulnerable"][2]["fixed"] == "1:1.3-2"
    assert document["vulnerable"][2]["in"] == ["image docker.io/example/app"]
    assert "not compared: 1 programs that no package owns" in document["notCompared"]
    table = run("scan", str(made.path), "--advisories", str(folder))[1]
    assert "3 packages named by 4 advisories of 2026-06-01 (Debian, Go, PyPI)" in table


def test_without_advisories_it_says_that_nothing_was_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    """And ends well: nothing was found wrong."""
    made = bundle(tmp_path / "bundle", {"docker.io/example/app": [FILES]})
    code, out, _ = _runner(monkeypatch, typed)("scan", str(made.path))
    assert (code, "packages were not compared with advisories" in out) == (0, True)


def test_a_bundle_that_was_altered_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    """Cards of models are found through index.json, which may be somebody else's by now."""
    made = bundle(tmp_path / "bundle", {"docker.io/example/app": [FILES]})
    (made.path / "index.json").write_text("{}")
    code, _, err = _runner(monkeypatch, typed)("scan", str(made.path))
    assert (code, "index.json: was altered" in err) == (3, True)


def _runner(monkeypatch: pytest.MonkeyPatch, typed: Typed) -> Typed:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "250")
    return partial(typed, "bundle")


def test_versions_that_cannot_be_compared_are_said(tmp_path: Path) -> None:
    """A program built from a working tree has none; nothing is guessed of it."""
    made = bundle(tmp_path / "b", {"app": [{"t": go_program("path\tt\nmod\texample.org/t\t(devel)\t\n")}]})
    folder = write(tmp_path / "osv", advisory("G-1", "Go", "example.org/t", {"introduced": "1.0.0"}))
    found, problems = vulnerable(contents_of(made), read_advisories(folder))
    assert found == []
    assert problems == ["example.org/t (devel): its version cannot be compared"]


@pytest.mark.parametrize("text", ["[]", "{", '{"id": 1, "affected": 3}', '{"affected": []}'])
def test_what_is_not_an_advisory_is_refused_by_name(tmp_path: Path, text: str) -> None:
    """A database that is half there would say that nothing is wrong."""
    folder = write(tmp_path / "osv", advisory("A-1", "PyPI", "a", {"introduced": "0"}))
    (folder / "broken.json").write_text(text)
    with pytest.raises(BadInput, match=r"broken\.json: is not an advisory in OSV's format"):
        read_advisories(folder)


def test_files_that_are_larger_than_any_advisory_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    """Nothing that was not read is passed over in silence, in a folder or in an archive."""
    monkeypatch.setattr(advisories, "_MOST_BYTES", 2000)
    made = bundle(tmp_path / "b", {"app": [{"t": go_program("path\tt\n")}]})
    folder = write(tmp_path / "osv", advisory("G-1", "Go", "example.org/t", {"introduced": "1.0.0"}))
    (folder / "large.json").write_text(" " * 2001)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("huge.json", " " * 2001)
    said = _runner(monkeypatch, typed)("scan", str(made.path), "--advisories", str(folder), "--json")[1]
    large = [text for text in json.loads(said)["notCompared"] if text.startswith("not read")]
    assert large == [
        f"not read, it is larger than any advisory: {folder}/{name}"
        for name in ("all.zip/huge.json", "large.json")
    ]


def test_a_folder_without_advisories_is_refused(tmp_path: Path) -> None:
    """Also a zip archive that is cut."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="has no advisories"):
        read_advisories(tmp_path / "empty")
    (tmp_path / "empty" / "all.zip").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(BadInput, match=r"all\.zip: cannot be read"):
        read_advisories(tmp_path / "empty")
