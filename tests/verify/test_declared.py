"""checks.yaml: what may stand in it and what is said when something else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.catalog.catalog import load_catalog
from aiplat.errors import AiplatError
from aiplat.verify.declared import read_checks

HEAD = "apiVersion: aiplat.dev/v1alpha1\nkind: Checks\nchecks:\n"


def test_the_shipped_files_are_good() -> None:
    """Every component that is a release has checks, and every file can be read."""
    files = [c.folder / "checks.yaml" for c in load_catalog().components]
    assert sum(len(read_checks(f).checks) for f in files if f.exists()) >= 10


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (
            "- sentence: it works\n  http: {path: /, status: 200}",
            "wanted here; it must match",
        ),
        ("- sentence: It works.", "needs exactly one of"),
        (
            "- sentence: It works.\n  http: {path: /, status: 200}\n  deployment-available: {name: x}",
            "exactly one",
        ),
        ("- sentence: It works.\n  http: {path: x, status: 200}", "checks[0].http.path"),
        ("- sentence: It works.\n  http: {path: /, status: 20}", "greater than or equal to 100"),
        ("- sentence: It works.\n  every: often\n  http: {path: /, status: 200}", "checks[0].every"),
        ("- sentence: It works.\n  shell: rm", "shell: is not a key"),
        ("- sentence: A.\n  connection: {from: {namespace: n}, to: {}, expect: allowed}", "either namespace"),
        ("- [", "this is not YAML"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, check: str, said: str) -> None:
    """The file, the place and the reason."""
    file = tmp_path / "checks.yaml"
    file.write_text(HEAD + check)
    with pytest.raises(AiplatError, match=r"checks\.yaml") as refused:
        read_checks(file)
    assert said in str(refused.value)


def test_intervals_are_seconds(tmp_path: Path) -> None:
    """Written as people write them."""
    (tmp_path / "c").write_text(HEAD + "- {sentence: A., every: 5m, http: {path: /, status: 200}}")
    assert read_checks(tmp_path / "c").checks[0].seconds == 300
