"""What is read out of a bundle: packages of every kind, layers in their order, what nobody can read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.bundle.contents import layers
from aiplat.bundle.contents.go_programs import find_build_info
from aiplat.bundle.contents.package import FoundPackage
from aiplat.bundle.contents.packages import debian_licences
from aiplat.bundle.contents.read import Contents, contents_of
from aiplat.bundle.contents.spdx import spdx_expression
from aiplat.errors import CheckFailed
from tests.bundle.made import Layer, build_info, bundle, go_program

OS = b'ID=debian\nVERSION_ID="13"\n'
MODULES = (
    "path\texample.org/tool\nmod\texample.org/tool\t(devel)\t\n"
    "dep\tgolang.org/x/net\tv0.40.0\th1:x=\ndep\texample.org/old\tv1.0.0\n=>\texample.org/fork\tv1.1.0\th1:y=\n"
)


def stanza(name: str, version: str, status: str = "install ok installed", **more: str) -> bytes:
    """Return what dpkg notes of a package."""
    fields = {"Package": name, "Status": status, "Version": version, "Architecture": "amd64", **more}
    return "".join(f"{key}: {value}\n" for key, value in fields.items()).encode() + b"\n"


def read(tmp_path: Path, *layers: Layer) -> Contents:
    """Return what is in an image of these layers."""
    return contents_of(bundle(tmp_path / "bundle", {"docker.io/example/app": layers}))[0]


def purls(contents: Contents) -> list[str]:
    """Return the package URLs of what was found."""
    return [str(one.purl) for one in contents.packages if one.purl]


def test_debian_packages_are_read_with_their_source_and_licences(tmp_path: Path) -> None:
    """Of packages that were removed dpkg keeps a stanza too: they are not there."""
    contents = read(
        tmp_path,
        {
            "./etc/os-release": OS,
            "./var/lib/dpkg/status": stanza("libz1", "1:1.3-1", Source="zlib (1.3-1)")
            + stanza("gone", "1", status="deinstall ok config-files"),
            "./usr/share/doc/libz1": "zlib-doc",
            "./usr/share/doc/zlib-doc/copyright": b"Format: 1.0\n\nFiles: *\nLicense: Zlib\n text\n",
        },
    )
    assert purls(contents) == ["pkg:deb/debian/libz1@1:1.3-1?arch=amd64&distro=debian-13"]
    found = contents.packages[0]
    assert (found.source, found.source_version, found.licences) == ("zlib", "1.3-1", ("Zlib",))
    assert found.place == "var/lib/dpkg/status"
    assert found.layer == contents.layers[0]


def test_images_without_dpkg_list_their_packages_in_status_d(tmp_path: Path) -> None:
    """One file a package, and beside it the sums of what it has; its programs belong to it."""
    contents = read(
        tmp_path,
        {
            "var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 13\nArchitecture: all\n",
            "var/lib/dpkg/status.d/base.md5sums": b"0" * 32 + b"  usr/bin/arch\n",
            "bin/arch": b"\x7fELF of the package",
        },
    )
    assert [(one.kind, one.name) for one in contents.packages] == [("deb", "base-files")]


def test_alpine_packages_are_read(tmp_path: Path) -> None:
    """Name, version, architecture, origin and licence of every stanza."""
    text = b"P:musl\nV:1.2.5-r1\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:libc.so\n\nP:zlib\nV:1.3-r0\nL:Zlib\n\n"
    files: Layer = {
        "etc/os-release": b"ID=alpine\nVERSION_ID=3.21.3\n",
        "lib/apk/db/installed": text,
        "lib/libc.so": b"\x7fELF of musl",
    }
    contents = read(tmp_path, files)
    assert purls(contents) == [
        "pkg:apk/alpine/musl@1.2.5-r1?arch=x86_64&distro=alpine-3.21.3",
        "pkg:apk/alpine/zlib@1.3-r0?distro=alpine-3.21.3",
    ]
    assert [one.licences for one in contents.packages] == [("MIT",), ("Zlib",)]


def test_distributions_of_python_are_read_wherever_they_lie(tmp_path: Path) -> None:
    """The name is normalised; the licence is an expression, else words, else classifiers."""
    contents = read(
        tmp_path,
        {
            "opt/a/My_Pkg-1.dist-info/METADATA": b"Name: My_Pkg\nVersion: 1\nLicense-Expression: MIT\n\n",
            "opt/b-2.dist-info/METADATA": b"Name: b\nVersion: 2\nLicense: see the file COPYING\n"
            b"Classifier: License :: OSI Approved :: MIT License\n",
            "usr/lib/python3/c.egg-info/PKG-INFO": b"Name: c\nVersion: 3\n",
        },
    )
    assert purls(contents) == ["pkg:pypi/my-pkg@1", "pkg:pypi/b@2", "pkg:pypi/c@3"]
    assert [one.licences for one in contents.packages] == [("MIT",), ("MIT License",), ()]


def test_the_modules_of_a_go_program_are_read_out_of_it(tmp_path: Path) -> None:
    """Go's own library counts; of a replaced module the one that is in the program."""
    contents = read(tmp_path, {"tool": go_program(MODULES)})
    assert purls(contents) == [
        "pkg:golang/stdlib@1.26.1",
        "pkg:golang/example.org/tool@%28devel%29",
        "pkg:golang/golang.org/x/net@v0.40.0",
        "pkg:golang/example.org/fork@v1.1.0",
    ]


def test_build_information_is_found_wherever_it_lies() -> None:
    """Across the border of two reads, and behind a magic that belongs to a program which looks for it."""
    for before in (0, (1 << 20) - 8, (1 << 20) + 5):
        body = b"\x7fELF" + bytes(before) + b"\xff Go buildinf:" + b"text" + build_info(MODULES, "go1.26.1")
        program, is_go = find_build_info(_Stream(body))
        assert program is not None
        assert (program.go, program.package, len(program.modules), is_go) == (
            "1.26.1",
            "example.org/tool",
            3,
            True,
        )


def test_a_program_of_nothing_but_beginnings_ends_soon() -> None:
    """Each one could be build information: after some that were not, the rest is not tried."""
    tried = _Stream(b"\x7fELF" + (b"\xff Go buildinf:\x08\x02" + bytes(16)) * (1 << 16))
    program, _ = find_build_info(tried)
    assert program is None


class _Stream:
    """Bytes that are read as a file is."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        piece, self._body = self._body[:size], self._body[size:]
        return piece


@pytest.mark.parametrize("cut", [40, 60, 90])
def test_damaged_build_information_is_said_not_guessed(tmp_path: Path, cut: int) -> None:
    """The program is listed by its digest, and that its modules are not known."""
    body = b"\x7fELF" + bytes(60) + build_info(MODULES, "go1.26.1")[:cut]
    contents = read(tmp_path, {"tool": body})
    assert [(one.kind, one.name) for one in contents.packages] == [("file", "tool")]
    assert contents.unread == (
        "modules of tool: a Go before 1.18 built it, or its build information is damaged",
    )


def test_a_program_that_go_built_is_read_as_go_reads_it(tmp_path: Path) -> None:
    """Go's own linker is the program: what `go version -m` says of it is what is found."""
    go = Path(sys.executable).with_name("go")
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    program = Path(root, "bin", "go")
    said = subprocess.run([go, "version", "-m", program], capture_output=True, text=True, check=True).stdout
    with program.open("rb") as stream:
        found, _ = find_build_info(stream)
    assert found is not None
    assert said.splitlines()[0].split(": go")[1].split(" ")[0] == found.go
    assert sum(line.split("\t")[1] in {"dep", "mod"} for line in said.splitlines()[1:]) == len(found.modules)


def test_an_upper_layer_replaces_and_removes_what_is_below(tmp_path: Path) -> None:
    """A list that is written again counts once; whiteouts take files, folders and what is in them."""
    metadata = {f"opt/{n}/{n}-1.dist-info/METADATA": f"Name: {n}\nVersion: 1\n".encode() for n in "abcd"}
    below: Layer = {"var/lib/dpkg/status": stanza("old", "1"), **metadata}
    above: Layer = {
        "var/lib/dpkg/status": stanza("new", "2"),
        "opt/a/.wh.a-1.dist-info": b"",
        "opt/b/.wh..wh..opq": b"",
        "opt/b/e-1.dist-info/METADATA": b"Name: e\nVersion: 1\n",
        "opt/.wh.c": b"",
        "opt/d": b"a file where a folder was",
    }
    contents = read(tmp_path, below, above)
    assert [one.name for one in contents.packages] == ["e", "new"]
    assert {one.layer for one in contents.packages} == {contents.layers[1]}


def test_what_a_layer_adds_again_after_a_whiteout_is_there(tmp_path: Path) -> None:
    """A whiteout is about the layers below its own, in whichever order the tar has them."""
    one = {"opt/a-1.dist-info/METADATA": b"Name: a\nVersion: 1\n"}
    assert [p.name for p in read(tmp_path, one, {**one, "opt/.wh.a-1.dist-info": b""}).packages] == ["a"]


def test_programs_that_no_package_owns_are_listed_by_digest(tmp_path: Path) -> None:
    """One with many names once; those of packages not at all, also where /bin is a part of /usr."""
    contents = read(
        tmp_path,
        {
            "var/lib/dpkg/status": stanza("tools", "1"),
            "var/lib/dpkg/info/tools.list": b"/.\n/bin\n/bin/owned\n",
            "usr/bin/owned": b"\x7fELF owned",
            "usr/local/bin/server": b"\x7fELF server",
            "usr/local/bin/server2": b"\x7fELF server",
        },
    )
    loose = [one for one in contents.packages if one.kind == "file"]
    assert [one.name for one in loose] == ["usr/local/bin/server"]
    assert str(loose[0].digest).startswith("sha256:")


def test_what_no_reader_knows_is_named(tmp_path: Path) -> None:
    """A database of RPM, packages of Node.js and Java archives, counted."""
    contents = read(
        tmp_path,
        {
            "usr/lib/sysimage/rpm/rpmdb.sqlite": b"SQLite format 3",
            "srv/node_modules/left-pad/package.json": b"{}",
            "srv/node_modules/@x/y/package.json": b"{}",
            "srv/app.jar": b"PK",
        },
    )
    assert contents.packages == ()
    assert contents.unread == (
        "Java archives (1 files)",
        "a database of RPM packages (1 files)",
        "packages of Node.js (2 files)",
    )


def test_what_the_texts_of_all_layers_take_together_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred layers take no more memory than one; what had no room is named."""
    wheel = b"Metadata-Version: 2.1\nName: thing\nVersion: 1\n"
    monkeypatch.setattr(layers, "_MOST_TOGETHER", 2 * len(wheel))
    three = [{f"usr/lib/python3/thing{n}-1.dist-info/METADATA": wheel} for n in range(3)]
    contents = read(tmp_path, *three)
    assert len(contents.packages) == 2
    assert contents.unread == ("lists of packages above 32 MiB, or 256 MiB in an image (1 files)",)


def test_a_host_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    """The modules of a Go program; of a script that it is not a program."""
    made = bundle(tmp_path / "b", {}, {"helm": go_program(MODULES), "run": b"#!/bin/sh\n"})
    helm, script = contents_of(made)
    assert FoundPackage("golang", "stdlib", "1.26.1", "helm", helm.layers[0]) in helm.packages
    assert script.unread == ("what run is: it is not a program",)


def test_nothing_is_said_of_a_bundle_that_was_altered(tmp_path: Path) -> None:
    """The layer that was swapped is named, and nothing in it is read."""
    made = bundle(tmp_path / "b", {"docker.io/example/app": [{"etc/os-release": OS}]})
    blob = made.blob_path(made.lock.artifacts[0].blobs[-1].digest)
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckFailed) as failed:
        contents_of(made)
    assert [one.where for one in failed.value.findings] == [str(blob.relative_to(made.path))]


@pytest.mark.parametrize(
    ("said", "expression"),
    [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("Expat", "MIT"),
        ("LGPL-3+ or GPL-2+", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
        ("Apache-2.0 AND MIT", "Apache-2.0 AND MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("public-domain", ""),
        ("BSD License", ""),
        ("GPL", "GPL-1.0-or-later"),
        ("GPL-3+ with Bison exception", ""),
        ("", ""),
    ],
)
def test_words_become_an_spdx_expression_where_that_is_sure(said: str, expression: str) -> None:
    """A name without a version, and words that are not names, stay what they are."""
    assert spdx_expression(said) == expression


def test_a_copyright_file_in_prose_says_which_texts_it_points_to() -> None:
    """That it was prose is said with it: a pointer is less than a statement."""
    prose = "This is free; see /usr/share/common-licenses/GPL-2 and /usr/share/common-licenses/LGPL-2.1.\n"
    assert debian_licences(prose) == ("GPL-2 (named in prose)", "LGPL-2.1 (named in prose)")
