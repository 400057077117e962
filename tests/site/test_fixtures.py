"""Good sites load, bad sites are refused with exactly the words beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.errors import EXIT_BAD_INPUT, BadInput
from aiplat.site.findings import SiteFinding
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.site.rules import RULES

HERE = Path(__file__).parent
VALID = sorted((HERE / "valid").glob("*.yaml"))
INVALID = sorted((HERE / "invalid").glob("*.yaml"))


@pytest.mark.parametrize("path", VALID, ids=lambda p: p.stem)
def test_a_valid_site_loads(path: Path) -> None:
    """Every file in valid/ is a site."""
    assert isinstance(load_site(path), Site)


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_an_invalid_site_is_refused_in_exact_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All findings come at once, each with its line, word for word as in the .expected file."""
    monkeypatch.chdir(path.parent)
    with pytest.raises(BadInput) as caught:
        load_site(Path(path.name))
    said = str(caught.value).replace(str(path.parent), "{here}")
    assert said.splitlines() == path.with_suffix(".expected").read_text().splitlines()
    assert caught.value.exit_code == EXIT_BAD_INPUT


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_every_finding_has_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding has a file, a line from 1 on, a rule and a sentence."""
    monkeypatch.chdir(path.parent)
    with pytest.raises(BadInput) as caught:
        load_site(Path(path.name))
    for finding in caught.value.findings:
        assert isinstance(finding, SiteFinding)
        assert finding.file == path.name
        assert finding.line >= 1
        assert finding.rule
        assert finding.problem


def test_there_are_enough_fixtures() -> None:
    """The promise of at least 25 bad and 8 good sites is kept."""
    assert len(INVALID) >= 25
    assert len(VALID) >= 8


def test_every_expectation_has_its_site() -> None:
    """No .expected file is left over."""
    assert {p.stem for p in INVALID} == {p.stem for p in (HERE / "invalid").glob("*.expected")}


def test_every_rule_has_a_site_that_breaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule without a fixture could stop working unseen."""
    monkeypatch.chdir(HERE / "invalid")
    broken = set()
    for path in INVALID:
        with pytest.raises(BadInput) as caught:
            load_site(Path(path.name))
        broken |= {f.rule for f in caught.value.findings if isinstance(f, SiteFinding)}
    assert set(RULES) <= broken


def test_no_message_repeats_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was refused as a secret stands in no message, neither whole nor in part."""
    monkeypatch.chdir(HERE / "invalid")
    for path in [p for p in INVALID if p.stem.startswith("secret")]:
        with pytest.raises(BadInput) as caught:
            load_site(Path(path.name))
        for piece in ("hunter2", "12345", "0123456789abcdefghij", "MHcCAQEEIA"):
            assert piece not in str(caught.value)


def test_every_rule_explains_itself() -> None:
    """A rule's docstring is its documentation: one sentence."""
    for name, rule in RULES.items():
        assert rule.__doc__, name
        assert rule.__doc__.strip().endswith("."), name
