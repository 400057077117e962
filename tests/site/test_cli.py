"""`aiplat site` as a person and as a program meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.typed import Typed

HERE = Path(__file__).parent


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, typed: Typed) -> Typed:
    """Run `aiplat site …` in a folder; return exit code, standard output and standard error."""
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str, folder: Path = HERE) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        return typed("site", *arguments)

    return run


def test_a_good_site_is_said_to_be_good(aiplat: Typed, tmp_path: Path) -> None:
    """Without a file and without site.yaml it is the built-in lab; standard output stays empty."""
    code, out, err = aiplat("check", folder=tmp_path)
    assert (code, out) == (0, "")
    assert "site lab is good: 1 host, 1 model" in err


def test_a_bad_site_exits_with_2_and_all_findings(aiplat: Typed) -> None:
    """Findings go to standard error, one a line, exactly as the library says them."""
    expected = (HERE / "invalid" / "everything-at-once.expected").read_text()
    assert aiplat("check", "everything-at-once.yaml", folder=HERE / "invalid") == (2, "", expected)


def test_what_comes_later_is_noted(aiplat: Typed) -> None:
    """A planned component passes the check with a note."""
    code, _, err = aiplat("check", "valid/known-but-later.yaml")
    assert code == 0
    assert "note: planes.data.weaviate: weaviate is known, but not in this version" in err


@pytest.mark.parametrize(
    ("file", "code", "rules"),
    [
        ("valid/minimal.yaml", 0, []),
        ("invalid/unknown-plane.yaml", 2, ["unknown-plane", "unknown-plane"]),
        ("no-such.yaml", 2, [""]),
    ],
)
def test_programs_get_one_document(aiplat: Typed, file: str, code: int, rules: list[str]) -> None:
    """With --json there is one document, with file, line and rule of each finding."""
    ended, out, err = aiplat("check", "--json", file)
    report = json.loads(out)
    assert (ended, err) == (code, "")
    assert report["kind"] == "SiteCheck"
    assert report["ok"] is (code == 0)
    assert [f["rule"] for f in report["findings"]] == rules
    assert all(f["file"] == file and f["message"] for f in report["findings"])


def test_show_fills_in_what_was_left_out(aiplat: Typed) -> None:
    """The shown site has the domain and endpoint that follow from the rest."""
    shown = json.loads(aiplat("show", "--json", "valid/minimal.yaml")[1])
    assert shown["cluster"]["domain"] == "ward-3.internal"
    assert shown["cluster"]["endpoint"] == "10.0.0.11"


def test_what_show_prints_is_a_site_again(aiplat: Typed, tmp_path: Path) -> None:
    """Printed YAML passes the check."""
    (tmp_path / "site.yaml").write_text(aiplat("show", "valid/all-keys.yaml")[1])
    assert aiplat("check", folder=tmp_path)[0] == 0


def test_schema_and_rules_are_printed(aiplat: Typed) -> None:
    """The schema is JSON, each rule a line."""
    assert json.loads(aiplat("schema")[1])["title"] == "Site"
    assert "even-servers" in aiplat("rules")[1]
