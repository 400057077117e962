"""The runtime's wheels: those that were pinned are those that are fetched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.recipes import PythonRuntime
from aiplat.errors import AiplatError
from aiplat.supply.contract import Made
from aiplat.supply.pypi import IndexFile
from aiplat.supply.runtime import RuntimeMaker
from aiplat.supply.upstream.fetcher import FetchOrder
from aiplat.supply.upstream.runtime import RuntimeWheels

A, B = (IndexFile(f"{n}-1-py3-none-any.whl", f"https://index.test/{n}", f"sha256:{n * 64}", 5) for n in "ab")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> list[IndexFile]:
    """Return what the index has; what would be stored is the size of what is given."""

    def store(_: RuntimeMaker, __: Path, files: list[IndexFile]) -> Made:
        return Made(" ".join(file.name[0] for file in files))

    there: list[IndexFile] = [A, B]
    monkeypatch.setattr(RuntimeMaker, "wanted", lambda _: list(there))
    monkeypatch.setattr(RuntimeMaker, "store", store)
    return there


@pytest.fixture
def order(tmp_path: Path) -> FetchOrder:
    """Return the order of the runtime that the catalogue has."""
    recipes: list[Any] = [
        artifact.packages
        for component in load_catalog().components
        for artifact in component.artifacts
        if artifact.packages and artifact.packages.runtime
    ]
    assert isinstance(recipes[0].runtime, PythonRuntime)
    return cast(
        "FetchOrder", SimpleNamespace(recipe=recipes[0], http=None, work=tmp_path, phase=lambda *_: None)
    )


def test_what_was_pinned_is_fetched_in_any_order(index: list[IndexFile], order: FetchOrder) -> None:
    """The index is asked twice, days apart, and may list its files otherwise."""
    pin = RuntimeWheels().pin(order)
    assert pin.size == 10
    index.reverse()
    assert RuntimeWheels().fetch(order, pin, order.work).manifest == "b a"


@pytest.mark.parametrize("now", [[A], []])
def test_other_wheels_than_those_that_were_pinned_are_refused(
    index: list[IndexFile], order: FetchOrder, now: list[IndexFile]
) -> None:
    """Although each has a hash of the lock: the bundle would be another one than was agreed to."""
    pin = RuntimeWheels().pin(order)
    index[:] = now
    with pytest.raises(AiplatError, match="has other wheels of aiplat's runtime than when it was pinned"):
        RuntimeWheels().fetch(order, pin, order.work)
