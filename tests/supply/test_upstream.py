"""`upstream` has its interface and refuses; `auto` says what it means."""

from __future__ import annotations

import pytest

from aiplat.errors import BadInput
from aiplat.supply.choose import choose_supply
from aiplat.supply.packages import PackagesSupply
from aiplat.supply.upstream.supply import UpstreamSupply
from tests.supply.worlds import lock, silent, site


def test_upstream_refuses_in_one_sentence() -> None:
    """Before anything is fetched, and again if asked for one artifact."""
    supply = UpstreamSupply()
    for ask in (lambda: supply.check(lock().artifacts), lambda: supply.supply(lock().artifacts[0], silent)):
        with pytest.raises(BadInput, match="not yet in this version") as caught:
            ask()
        assert (len(caught.value.findings), caught.value.exit_code) == (1, 2)


@pytest.mark.parametrize(
    ("said", "kind"), [("auto", PackagesSupply), ("packages", PackagesSupply), ("upstream", UpstreamSupply)]
)
def test_the_site_chooses_its_supply(said: str, kind: type) -> None:
    """With the reason in words."""
    choice = choose_supply(site().model_copy(update={"supply": said}), lock())
    assert isinstance(choice.supply, kind)
    assert choice.why.startswith(choice.supply.name)
