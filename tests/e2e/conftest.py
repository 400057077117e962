"""Lab sites for the journeys: state of their own, removed afterwards whatever happened; caches are shared."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiplat.lab import lab_down, lab_up
from aiplat.site.load import load_site
from tests.e2e.journey import SITES, Journey


@pytest.fixture(scope="module")
def make_journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str | Path], Journey]]:
    """Give a function that brings the hosts of a site up and returns their journey.

    It is given the name of a file in `sites/`, or a file with fewer of that site's hosts.
    """
    state = tmp_path_factory.mktemp("state")
    labs: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(state))

        def make(name: str | Path) -> Journey:
            file = SITES / f"{name}.yaml" if isinstance(name, str) else name
            site = load_site(file)
            labs.append(site.name)
            lab_up(site)
            return Journey(site.name, file, state)

        yield make
        for lab in labs:
            lab_down(lab)
    shutil.rmtree(state)
