"""Which file a command line argument means."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.errors import BadInput
from aiplat.site.find import built_in_sites, find_site
from aiplat.site.load import load_site

BUILT_IN = ", ".join(sorted(built_in_sites()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_named_means_the_lab(folder: Path) -> None:
    """In a folder without site.yaml the built-in lab is meant."""
    assert find_site() == built_in_sites()["lab"]


def test_nothing_named_means_the_site_here(folder: Path) -> None:
    """A site.yaml in the current folder goes before the lab."""
    (folder / "site.yaml").touch()
    assert find_site() == Path("site.yaml")


def test_a_built_in_name_wins_over_a_folder_of_that_name(folder: Path) -> None:
    """`lab` is the built-in lab wherever one stands; ./lab is the folder."""
    (folder / "lab").mkdir()
    (folder / "lab" / "site.yaml").touch()
    assert find_site("lab") == built_in_sites()["lab"]
    assert find_site("./lab") == Path("lab/site.yaml")


def test_a_folder_means_the_site_in_it(folder: Path) -> None:
    """A folder is named for its site.yaml."""
    (folder / "ward-3").mkdir()
    (folder / "ward-3" / "site.yaml").touch()
    assert find_site("ward-3") == Path("ward-3/site.yaml")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("lab-agent", 'lab-agent: there is no such site file; did you mean "lab-agents"?'),
        ("x.yaml", f"x.yaml: there is no such site file; name a file, or a built-in site: {BUILT_IN}"),
    ],
)
def test_what_is_not_there_is_refused(folder: Path, argument: str, said: str) -> None:
    """A name close to a built-in one gets a hint."""
    with pytest.raises(BadInput) as caught:
        find_site(argument)
    assert str(caught.value) == said


@pytest.mark.parametrize("name", sorted(built_in_sites()))
def test_built_in_sites_are_good(name: str) -> None:
    """What aiplat brings along passes its own check."""
    assert load_site(find_site(name)).name == name
