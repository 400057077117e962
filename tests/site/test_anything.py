"""Whatever stands where a value belongs, the check answers with findings and never breaks."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from aiplat.site.known import known_names
from aiplat.site.load import check
from aiplat.site.yaml_file import read_document

HERE = Path(__file__).parent / "valid"
RICH = [HERE / "all-keys.yaml", HERE / "secrets-by-reference.yaml"]
ODD: tuple[Any, ...] = (
    None, True, 5, -1, 1.5, 10**30, float("nan"), "", "x", "\u2028", "0.0.0.0/0", "::/0", [], [[]],
    ["a", "a"], {}, {"a": 1}, {"name": 5}, {"fromSecret": "x"}, {"fromSecret": {}},
)  # fmt: skip
# What pydantic says where we have no sentence of our own.
NOT_OURS = ("input should", "value error", "should have", "none required")


@pytest.mark.parametrize("path", RICH, ids=lambda p: p.stem)
def test_the_check_survives_anything(path: Path) -> None:
    """Every value of sites with many keys is replaced by every odd one; complaints are sentences of ours."""
    good = read_document(path)
    for at in [p for p, _ in good.walk() if p]:
        for odd in ODD:
            document = copy.copy(good)
            document.data = copy.deepcopy(good.data)
            holder = document.data
            for part in at[:-1]:
                holder = holder[part]
            holder[at[-1]] = copy.deepcopy(odd)
            for finding in check(document, known_names()):
                assert not any(phrase in str(finding).lower() for phrase in NOT_OURS), finding
