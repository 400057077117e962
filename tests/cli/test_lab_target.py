"""Which lab a command line argument means."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.cli.lab_target import lab_name
from aiplat.errors import BadInput

SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward
hosts: [{name: s1, address: 10.0.0.11, role: server}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a site's file in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "site.yaml").write_text(SITE)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "name"),
    [("lab", "lab"), ("here", "ward"), ("here/site.yaml", "ward"), ("ward", "ward"), ("gone", "gone")],
)
def test_a_lab_is_found_by_its_site_or_by_its_name(given: str, name: str) -> None:
    """What a crash or a removed site file left is still found by the lab's name."""
    assert lab_name(given) == name


@pytest.mark.parametrize("given", ["gone/site.yaml", "sute.yml"])
def test_a_path_that_is_not_there_is_no_name(given: str) -> None:
    """A misspelt path is said, and not taken for a lab that is not up."""
    with pytest.raises(BadInput, match="there is no such site file"):
        lab_name(given)


def test_findings_of_a_site_are_not_passed_over(folder: Path) -> None:
    """A site that is there but wrong is not taken for a name either."""
    (folder / "here" / "site.yaml").write_text(SITE.replace("server", "agent"))
    with pytest.raises(BadInput, match="server"):
        lab_name("here")
