"""A host file made by the project's own script, for real."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.inputs import outputs_in
from aiplat.catalog.recipes import Recipe
from aiplat.catalog.versions import from_versions_yaml
from aiplat.content import digest_of, digest_tree
from aiplat.supply import hostfiles
from aiplat.supply.apt import Deb
from aiplat.supply.contract import Job
from aiplat.supply.oci import blob_path, read_json
from tests.supply.worlds import catalog, silent

SCRIPT = """#!/bin/sh
test ! -e "$(dirname "$0")/old-output" || exit 9
cat "$(dirname "$0")/source.txt" > "$1"
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return a job for a project with one source, one script and an output of an earlier build."""
    project = tmp_path / "project" / "thing"
    project.mkdir(parents=True)
    (project / "source.txt").write_text("a program")
    (project / "old-output").write_text("of the last build")
    (project / ".gitignore").write_text("/old-output\n")
    (project / "build").write_text(SCRIPT)
    (project / "build").chmod(0o755)
    monkeypatch.setattr(hostfiles, "source_path", lambda relative: tmp_path / "project" / relative)
    for name in ("folder", "work", "cache"):
        (tmp_path / name).mkdir()
    artifact = Artifact(kind="hostfile", name="thing", version="1.0.0", component="x", inputs=digest_of("x"))
    return Job(
        artifact=artifact,
        component=catalog().components[0],
        recipe=Recipe(script="thing/build", sources=("thing",)),
        folder=tmp_path / "folder",
        work=tmp_path / "work",
        phase=silent,
        part=lambda *_: tmp_path,
        cache=tmp_path / "cache",
        other=lambda *_: pytest.fail("needs nothing else"),
    )


def test_the_script_works_on_a_copy_of_its_sources(job: Job, tmp_path: Path) -> None:
    """Earlier outputs are not copied, and nothing is written beside the sources."""
    before = digest_tree(tmp_path / "project")
    made = hostfiles.build_by_script(job)
    assert blob_path(job.folder, str(made.file)).read_text() == "a program"
    assert digest_tree(tmp_path / "project") == before


def test_a_host_file_is_an_artefact_with_its_name(job: Job) -> None:
    """Type, title and version are in the manifest."""
    made = hostfiles.build_by_script(job)
    manifest = read_json(job.folder, made.manifest)
    assert manifest["artifactType"] == hostfiles.HOSTFILE
    assert manifest["layers"][0]["annotations"] == {"org.opencontainers.image.title": "thing"}
    assert manifest["annotations"]["org.opencontainers.image.version"] == "1.0.0"


def test_packages_that_a_script_needs_are_unpacked_for_it(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of the release that lab hosts run, and where the script is named."""
    asked: list[tuple[str, ...]] = []

    def fetch(_job: Job, suite: str, packages: tuple[str, ...], into: Path) -> list[Deb]:
        asked.append((suite, *packages))
        return [_package(tmp_path, "thing-tools", into)]

    monkeypatch.setattr(hostfiles, "fetch", fetch)
    (tmp_path / "project" / "thing" / "build").write_text('#!/bin/sh\ncat "$DEBIAN/usr/sbin/tool" > "$1"\n')
    recipe = job.recipe.model_copy(update={"debian": ("thing-tools",)})
    made = hostfiles.build_by_script(replace(job, recipe=recipe))
    assert blob_path(job.folder, str(made.file)).read_text() == "a tool"
    assert asked == [(from_versions_yaml("debian.lab_suite"), "thing-tools")]


def _package(folder: Path, name: str, into: Path) -> Deb:
    """Make a real Debian package with one program."""
    root = folder / name
    for path, text in {
        "DEBIAN/control": f"Package: {name}\nVersion: 1\nArchitecture: all\n"
        "Maintainer: x <x@y.z>\nDescription: x\n",
        "usr/sbin/tool": "a tool",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    into.mkdir()
    subprocess.run(["dpkg-deb", "--build", root, into / f"{name}.deb"], check=True, capture_output=True)
    return Deb(name, "1", into / f"{name}.deb")


def test_outputs_do_not_change_what_sources_are(tmp_path: Path) -> None:
    """The digest of sources is the same before and after a build in their folder."""
    (tmp_path / ".gitignore").write_text("/.build/\n/out.bin\n")
    (tmp_path / "main.go").write_text("package main")
    before = digest_tree(tmp_path, skip=outputs_in(tmp_path))
    (tmp_path / ".build").mkdir()
    (tmp_path / ".build" / "object").touch()
    (tmp_path / "out.bin").touch()
    assert digest_tree(tmp_path, skip=outputs_in(tmp_path)) == before
    (tmp_path / "main.go").write_text("package other")
    assert digest_tree(tmp_path, skip=outputs_in(tmp_path)) != before
