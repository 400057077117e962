"""Up at once, down when less was enough for long, never on no news."""

from __future__ import annotations

import pytest

from aiplat.services.operator.load import loads
from aiplat.services.operator.scaling import Load, Scaler, together

DELAY = 60


def wanted(scaler: Scaler, load: Load | None, current: int, now: float) -> int:
    """Return what is wanted of a model whose replicas take two requests each."""
    return scaler.wanted("m", load, current, target=2, delay=DELAY, now=now)


@pytest.mark.parametrize(("requests", "replicas"), [(1, 1), (2, 1), (3, 2), (8, 4)])
def test_it_goes_up_at_once(requests: int, replicas: int) -> None:
    """Requests that are answered and those that wait both count."""
    assert wanted(Scaler(), Load(in_flight=requests - 1, waiting=1), 0, 0) == replicas


def test_it_goes_down_when_less_was_enough_for_the_whole_delay() -> None:
    """A burst in between starts the time again."""
    scaler = Scaler()
    assert wanted(scaler, Load(), 2, 0) == 2
    assert wanted(scaler, Load(in_flight=4), 2, 30) == 2
    assert wanted(scaler, Load(), 2, 61) == 2
    assert wanted(scaler, Load(in_flight=1), 2, 100) == 2
    assert wanted(scaler, Load(), 2, 121) == 1
    assert wanted(scaler, Load(), 1, 130) == 1
    assert wanted(scaler, Load(), 1, 182) == 0


def test_no_news_changes_nothing() -> None:
    """Neither a missing gateway nor the time it was missing count as idleness."""
    scaler = Scaler()
    wanted(scaler, Load(), 2, 0)
    assert wanted(scaler, None, 2, 100) == 2
    assert wanted(scaler, Load(), 2, 101) == 2


def test_half_of_the_news_only_lets_it_go_up() -> None:
    """Where one gateway does not answer, the others' requests are a lower bound."""
    scaler = Scaler()
    assert wanted(scaler, Load(in_flight=6, complete=False), 1, 0) == 3
    for now in range(0, 200, 10):
        assert wanted(scaler, Load(complete=False), 3, now) == 3


def test_a_model_that_is_gone_is_forgotten() -> None:
    """What is remembered is bounded by the models there are."""
    scaler = Scaler()
    wanted(scaler, Load(), 2, 0)
    scaler.forget(set())
    assert wanted(scaler, Load(), 2, 100) == 2


PAGE = """# TYPE aiplat_gateway_in_flight gauge
aiplat_gateway_in_flight{model="a"} 2.0
aiplat_gateway_in_flight{model="b"} 0.0
# TYPE aiplat_gateway_waiting gauge
aiplat_gateway_waiting{model="a"} 1.0
aiplat_gateway_waiting{model="b"} 0.0
"""


def test_loads_are_added_up_over_the_gateways() -> None:
    """Every server has one; an absent model is one that no gateway knows."""
    found = loads(["one", "two"], lambda _: PAGE)
    assert found == {"a": Load(4, 2), "b": Load(0, 0)}


def test_a_gateway_that_does_not_answer_leaves_sums_incomplete() -> None:
    """What the others say still counts."""

    def fetch(address: str) -> str:
        if address == "two":
            raise OSError("gone")
        return PAGE

    assert loads(["one", "two"], fetch)["a"] == Load(2, 1, complete=False)
    assert loads(["two"], fetch) == {}


def test_the_load_of_adapters_is_the_models() -> None:
    """The same replicas answer them; without any news of either there is none."""
    assert together([Load(1, 2), None, Load(3, 0, complete=False)]) == Load(4, 2, complete=False)
    assert together([None, None]) is None
