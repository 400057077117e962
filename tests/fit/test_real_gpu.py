"""What a real card showed on a recorded day is predicted from inputs alone; no failure is called a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.fit.cases import is_throughput, judge_memory, read_cases
from aiplat.fit.hardware import read_hardware
from aiplat.fit.knowledge import GIB, MIB
from aiplat.fit.memory import plan_memory
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import EngineSettings, Version, default_utilisation
from aiplat.fit.speeds import judge_throughput

CASES, SHAPES = read_cases(Path(__file__).parent / "h200.yaml")
MEMORY = judge_memory([case for case in CASES if not is_throughput(case)], SHAPES)
SPEED = judge_throughput([case for case in CASES if is_throughput(case)], SHAPES)


def test_nothing_that_failed_is_called_a_fit_and_nothing_that_ran_is_refused() -> None:
    """Both ways of being wrong are counted, over every run on the card."""
    assert len(MEMORY["cases"]) > 25
    assert not MEMORY["false_fits"]
    assert not MEMORY["false_refusals"]


@pytest.mark.parametrize("row", MEMORY["cases"], ids=lambda row: row["id"])
def test_weights_and_cache_are_those_that_the_engine_logged(row: dict[str, Any]) -> None:
    """Weights are within a sixtieth, a cache of llama.cpp is within one in twenty-five."""
    parts = row["parts"] | {row["quantity"]: row["error"]}
    assert abs(parts["weights"]) < 0.016
    assert abs(parts.get("kv", 0)) < 0.04


@pytest.mark.parametrize(
    "row", [row for row in MEMORY["cases"] if "device" in row["parts"]], ids=lambda row: row["id"]
)
def test_the_driver_counts_no_more_than_was_planned(row: dict[str, Any]) -> None:
    """With context, libraries and scratch outside the buffers; at most a GiB or a tenth is kept free."""
    planned = row["predicted"]["devices"][0]["need"]
    counted = planned / (1 + row["parts"]["device"])
    assert counted <= planned <= counted + max(GIB, 0.1 * counted)


@pytest.mark.parametrize("row", SPEED["cases"], ids=lambda row: row["id"])
def test_a_speed_lies_in_the_range_that_is_told(row: dict[str, Any]) -> None:
    """Of one request alone and of many at once."""
    assert row["in_range"], row["predicted"]


@pytest.mark.parametrize(
    ("driver", "gib"),
    [
        ("NVIDIA H100 80GB HBM3", 79.2),
        ("NVIDIA H200", 139.8),
        ("NVIDIA A100-SXM4-80GB", 78.7),
        ("NVIDIA A100-SXM4-40GB", 39.4),
        ("NVIDIA A10G", 22),
    ],
)
def test_a_card_is_known_by_the_name_its_driver_gives(driver: str, gib: float) -> None:
    """What was sold stands in the name, and what a program sees of it is the card's."""
    (gpu,) = read_hardware({"gpu": driver}).gpus
    assert gpu.total is not None
    assert gpu.total / GIB == pytest.approx(gib, abs=0.9)


def test_the_name_of_a_card_takes_nothing_from_it() -> None:
    """`H100` and the name that its driver gives have the same memory."""
    assert (
        read_hardware({"gpu": "H100"}).gpus[0].total
        == read_hardware({"gpu": "NVIDIA H100 80GB HBM3"}).gpus[0].total
    )


def test_vllm_takes_the_share_of_its_version() -> None:
    """0.92 since 0.20, and less where nobody knows the version: a fit is a fit of both."""
    assert default_utilisation(Version(numbers=(0, 26))) == 0.92
    assert default_utilisation(Version(numbers=(0, 19, 1))) == 0.9
    assert default_utilisation(Version()) == 0.9


def test_graphs_need_room_outside_a_share_that_leaves_none() -> None:
    """The runner of dense models captures its graphs after the pool has the whole share."""
    settings = EngineSettings(context=4096, utilisation=0.995)
    plan = plan_memory(as_request(FitQuestion("qwen3-8b", ("RTX 4090",), "vllm", None, settings)))
    told = " ".join(plan.why)
    assert plan.verdict != "fits"
    assert "outside" in told or "never free" in told


def test_large_cards_keep_more_for_the_context_than_small_ones() -> None:
    """A context grows with multiprocessors."""
    needs = {
        name: plan_memory(
            as_request(FitQuestion("qwen3-8b", (name,), "llama.cpp", "Q4_K_M", EngineSettings(context=4096)))
        ).loads[0]
        for name in ("H200", "RTX 4090")
    }
    assert needs["H200"].overhead - needs["RTX 4090"].overhead > 256 * MIB
