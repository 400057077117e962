"""`aiplat bundle sbom` and `licences`: documents that a validator accepts, the same every time."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.cards import read_cards
from aiplat.bundle.contents.read import contents_of
from aiplat.bundle.licences import licence_lines
from aiplat.bundle.sbom import sbom_of_bundle
from aiplat.catalog.catalog import load_catalog
from tests.bundle.made import bundle, finished, go_program
from tests.typed import Typed

STATUS = (
    b"Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nArchitecture: amd64\n\n"
    b"Package: odd\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"
)
FILES = {
    "etc/os-release": b"ID=debian\nVERSION_ID=13\n",
    "var/lib/dpkg/status": STATUS,
    "usr/share/doc/bash/copyright": b"Format: x\nLicense: GPL-3+\n\nLicense: Expat\n",
    "usr/lib/sysimage/rpm/rpmdb.sqlite": b"SQLite format 3",
    "opt/webui-1.dist-info/METADATA": b"Name: open-webui\nVersion: 0.7\nLicense: =cmd|' /C x'!A0\n",
    "usr/bin/tool": go_program("path\ttool\nmod\texample.org/tool\tv1.0.0\t\n"),
}


@pytest.fixture
def made(tmp_path: Path) -> Bundle:
    """Return a bundle of two images, and a program for hosts."""
    images = {"docker.io/ollama/ollama": [FILES], "docker.io/example/empty": [{"pause": b"\x7fELF pause"}]}
    return bundle(tmp_path / "bundle", images, {"helm": go_program("path\thelm\n")})


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, typed: Typed) -> Typed:
    """Run `aiplat bundle …`; return exit code, standard output and standard error."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    return partial(typed, "bundle")


def valid(text: str) -> dict[str, Any]:
    """Return a document that CycloneDX's own strict validator accepts."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, str(error)[:500]
    return dict(json.loads(text))


def said(component: dict[str, Any], name: str) -> list[str]:
    """Return what a component's properties of a name say."""
    return [one["value"] for one in component.get("properties", []) if one["name"] == f"aiplat:{name}"]


def test_the_whole_and_each_image_are_valid_and_name_every_layer(
    aiplat: Typed, made: Bundle, tmp_path: Path
) -> None:
    """A folder gets one document of the bundle and one of each image."""
    out = tmp_path / "out"
    out.mkdir()
    assert aiplat("sbom", str(made.path), "--out", str(out))[0] == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "bundle.cdx.json",
        "docker.io_example_empty_1.0_linux_amd64.cdx.json",
        "docker.io_ollama_ollama_1.0_linux_amd64.cdx.json",
    ]
    whole = valid((out / names[0]).read_text())
    assert [one["name"] for one in whole["components"]] == [
        "helm",
        "docker.io/example/empty",
        "docker.io/ollama/ollama",
    ]
    image = valid((out / names[2]).read_text())
    layers = [blob.digest for blob in made.lock.artifact("image", "docker.io/ollama/ollama").blobs[2:]]
    assert said(image["metadata"]["component"], "layer:0") == layers
    assert "a database of RPM packages (1 files)" in said(image["metadata"]["component"], "unread")
    assert {one.get("purl") for one in image["components"]} == {
        "pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-13",
        "pkg:deb/debian/odd@1?arch=amd64&distro=debian-13",
        "pkg:golang/example.org/tool@v1.0.0",
        "pkg:golang/stdlib@1.26.1",
        "pkg:pypi/open-webui@0.7",
        None,
    }


def test_the_document_depends_on_the_content_alone(made: Bundle, tmp_path: Path) -> None:
    """Elsewhere and later it is the same to the letter; another content has another serial number."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(made.path, elsewhere)
    first, second = (_document(Bundle.open(path)) for path in (made.path, elsewhere))
    assert json.dumps(first) == json.dumps(second)
    assert "timestamp" not in first["metadata"]
    other = _document(bundle(tmp_path / "other", {"docker.io/example/empty": [{}]}))
    assert other["serialNumber"] != first["serialNumber"]


def _document(made: Bundle) -> dict[str, Any]:
    return sbom_of_bundle(made, contents_of(made), read_cards(made.path), load_catalog())


def test_one_image_is_named_by_the_last_part_of_its_name(aiplat: Typed, made: Bundle) -> None:
    """On standard output; one that is not there is answered with those that are."""
    document = valid(aiplat("sbom", str(made.path), "--image", "empty")[1])
    assert document["metadata"]["component"]["name"] == "docker.io/example/empty"
    assert [one["type"] for one in document["components"]] == ["file"]
    code, _, err = aiplat("sbom", str(made.path), "--image", "olama")
    assert (code, "image olama: is not in the bundle" in err, "docker.io/ollama/ollama" in err) == (
        2,
        True,
        True,
    )


def test_models_are_in_it_with_their_licence(tmp_path: Path) -> None:
    """A Llama model has its conditions in the report; the document has its terms' name and address."""
    made = _with_model(tmp_path)
    model = next(one for one in _document(made)["components"] if one["type"] == "machine-learning-model")
    assert model["licenses"][0]["license"]["name"] == "Llama 3.2 Community License"
    first = licence_lines(contents_of(made), [], load_catalog())[0]
    assert (first.group, first.kind) == ("conditions", "model")
    assert any("Built with Llama" in condition for condition in first.conditions)


def _with_model(tmp_path: Path) -> Bundle:
    """Return a bundle with an artifact that is the catalogue's Llama."""
    catalogued = next(m for _, m in load_catalog().models if m.licence.name == "Llama 3.2 Community License")
    name = catalogued.artifact.name
    made = bundle(tmp_path / "bundle", {name: [{"model": b"weights"}]})
    artifact = made.lock.artifacts[0].model_copy(update={"kind": "model", "version": catalogued.tag})
    for one in ("bundle.json", "bundle.json.sha256"):
        (made.path / one).unlink()
    return finished(made.path, [artifact])


def test_every_package_has_a_licence_or_is_said_to_be_unknown(aiplat: Typed, made: Bundle) -> None:
    """The document for programs has a line for each that was read, what asks for attention first."""
    document = json.loads(aiplat("licences", str(made.path), "--json")[1])
    rows = {(row["kind"], row["name"]): row for row in document["licences"]}
    read = {(one.kind, one.name) for contents in contents_of(made) for one in contents.packages}
    assert read <= set(rows)
    assert rows["deb", "bash"]["licences"] == ["GPL-3.0-or-later", "MIT"]
    assert (rows["deb", "bash"]["group"], rows["deb", "bash"]["spdx"]) == ("copyleft", True)
    assert (rows["deb", "odd"]["group"], rows["deb", "odd"]["licences"]) == ("unknown", ["unknown"])
    assert rows["component", "ollama"]["licences"] == ["MIT"]
    assert document["licences"][0]["name"] == "open-webui"
    assert "logo" in document["licences"][0]["conditions"][0]
    assert document["unread"] == [
        "image docker.io/ollama/ollama: a database of RPM packages (1 files)",
        "hostfile helm: programs that helm unpacks when it starts, if it does",
    ]


def test_the_report_is_a_table_a_spreadsheet_and_a_document(aiplat: Typed, made: Bundle) -> None:
    """All three have the package with conditions first; words of others are neither formula nor markup."""
    rows = list(csv.DictReader(aiplat("licences", str(made.path), "--csv")[1].splitlines()))
    assert (rows[0]["name"], rows[0]["group"], rows[0]["in"]) == (
        "open-webui",
        "conditions",
        "image docker.io/ollama/ollama",
    )
    markdown = aiplat("licences", str(made.path), "--markdown")[1]
    assert markdown.index("## Conditions: 1") < markdown.index("## Unknown") < markdown.index("## Copyleft")
    table = aiplat("licences", str(made.path))[1]
    assert table.startswith("conditions: 1")
    assert "not read: image docker.io/ollama/ollama: a database of RPM packages" in table
    code, _, err = aiplat("licences", str(made.path), "--csv", "--json")
    assert (code, "say one of them" in err) == (2, True)


def test_words_of_others_are_no_formula_and_no_markup(aiplat: Typed, tmp_path: Path) -> None:
    """A licence that a spreadsheet would run, and one that breaks a table, do nothing."""
    evil = {"e-1.dist-info/METADATA": b"Name: e\nVersion: 1\nLicense: =1+1|<b>*x*\x1b[31m\n"}
    made = bundle(tmp_path / "bundle", {"docker.io/example/app": [evil]})
    row = next(
        r
        for r in csv.DictReader(aiplat("licences", str(made.path), "--csv")[1].splitlines())
        if r["name"] == "e"
    )
    assert row["licences"].startswith("'=1+1")
    assert "\x1b" not in row["licences"]
    assert r"=1+1\|\<b\>\*x\*" in aiplat("licences", str(made.path), "--markdown")[1]
    assert "\x1b[31m" not in aiplat("licences", str(made.path))[1]
    valid(aiplat("sbom", str(made.path))[1])
