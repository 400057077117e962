"""A file of recorded cases is predicted from its inputs alone, and errors are counted as they are."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from aiplat.errors import BadInput
from aiplat.fit.cases import in_fitting_half, judge_memory, memory_row, read_cases, spread
from aiplat.fit.speeds import judge_throughput, throughput_row

HERE = Path(__file__).parent
CASES, SHAPES = read_cases(HERE / "cases.yaml")
SPEEDS, _ = read_cases(HERE / "speeds.yaml")
REPORT = judge_memory(CASES, SHAPES)
TOLD = ("recorded", "measured", "outcome", "log", "line", "notes", "conditions", "source")


def scrambled(case: dict[str, Any], others: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Return the case with everything that was recorded about it taken from other cases, or lost."""
    choice = random.Random(seed)  # noqa: S311 - mixes cases, hides nothing
    mixed = copy.deepcopy(case)
    for key in TOLD:
        mixed[key] = choice.choice([other.get(key) for other in others] + [None, "nonsense", {"kv_mib": 1}])
    for name in ("model", "hardware", "config"):
        if isinstance(mixed.get(name), dict):
            mixed[name] |= {"notes": "it needs 900 GiB", "n_ctx_note": "really 7", "log": ["fits"]}
    return mixed


@pytest.mark.parametrize("seed", range(5))
def test_predictions_of_memory_read_inputs_only(seed: int) -> None:
    """What was recorded, how it ended, its log and remarks change no prediction and no verdict."""
    for case in CASES:
        plain, mixed = memory_row(case, SHAPES), memory_row(scrambled(case, CASES, seed), SHAPES)
        for key in ("verdict", "predicted", "why", "remedies", "assumed"):
            assert plain.get(key) == mixed.get(key), (case["id"], key)


@pytest.mark.parametrize("seed", range(5))
def test_predictions_of_speed_read_inputs_only(seed: int) -> None:
    """A recorded speed and its source change no predicted range; conditions are the load, an input."""
    for case in SPEEDS:
        mixed_up = scrambled(case, SPEEDS, seed) | {"conditions": case.get("conditions")}
        plain, mixed = throughput_row(case, {}), throughput_row(mixed_up, {})
        assert plain.get("predicted") == mixed.get("predicted"), case["id"]


def test_nothing_that_failed_is_called_a_fit() -> None:
    """Runs that died, fell back or cut their context are refused or called tight."""
    assert REPORT["false_fits"] == []


def test_what_ran_is_not_refused() -> None:
    """Runs that lived are called fits, but for those whose memory nobody stated."""
    assert REPORT["false_refusals"] == []
    assert REPORT["tight_that_ran"] == []


@pytest.mark.parametrize("engine", ["llama.cpp", "ik_llama.cpp", "ollama", "vllm"])
def test_memory_is_within_a_tenth(engine: str) -> None:
    """Nine of ten predictions with complete inputs are at most 10 % off."""
    assert REPORT["engines"][engine]["n"] >= 2
    assert REPORT["engines"][engine]["p90"] <= 0.1


def test_a_verdict_has_its_reason_and_what_would_do() -> None:
    """Who is refused reads which device is too small for which parts, and what would fit."""
    row = next(row for row in REPORT["cases"] if row["id"] == "mistral-small-128k-graph-on-each-card")
    assert row["verdict"] == "does not fit"
    assert "buffers" in row["why"][0]
    assert any("context of at most" in remedy or "free each" in remedy for remedy in row["remedies"])


def test_incomplete_inputs_are_said_and_not_counted() -> None:
    """A card without a name gives no verdict, and a guessed quantisation no number in the table."""
    row = next(row for row in REPORT["cases"] if row["id"] == "card-is-not-named")
    assert row["verdict"] == "incomplete"
    assert not row["counted"]
    assert any("does not say which device" in reason for reason in row["missing"])
    assert "ollama-model-larger-than-ram" in REPORT["incomplete"]
    assert set(REPORT["no_verdict"]) == {
        "card-is-not-named",
        "deepseek-latent-cache-on-cpu",
        "gemma3-27b-whole-cache-on-cpu",
    }


def test_speed_is_a_range_and_near_at_the_median() -> None:
    """Every speed has a lower and an upper end, and half of the predictions are within 25 %."""
    report = judge_throughput(SPEEDS, {})
    for row in report["cases"]:
        if row["counted"]:
            assert row["predicted"]["low"] < row["predicted"]["tok_s"] < row["predicted"]["high"]
    assert report["all"]["median"] <= 0.25
    assert report["incomplete"] == ["nobody-knows"]


def test_damaged_cases_are_incomplete_not_errors() -> None:
    """Missing blocks and odd values leave a case without an answer, and the others with theirs."""
    for name in ("model", "hardware", "config", "engine", "recorded", "engine_version"):
        for value in (None, "text", 3, [], {}):
            rows = [memory_row({**case, name: value}, SHAPES) for case in CASES]
            assert len(rows) == len(CASES)


def test_a_file_may_bring_its_own_architectures() -> None:
    """A model that is not known is predicted where the file says its shape."""
    case = {**CASES[0], "model": {"name": "our-model", "quant": "F16"}}
    assert memory_row(case, {})["verdict"] == "incomplete"
    shape = {
        "layers": 4,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 64,
        "hidden": 256,
        "ffn": 1024,
        "vocab": 1000,
    }
    assert memory_row(case, {"our-model": shape})["verdict"] == "fits"


def test_halves_are_fixed_by_the_name() -> None:
    """The same case is always in the same half, and both halves are used."""
    halves = [in_fitting_half(f"case-{n}") for n in range(100)]
    assert halves == [in_fitting_half(f"case-{n}") for n in range(100)]
    assert 30 < sum(halves) < 70


def test_errors_are_spread_by_rank() -> None:
    """The 90th percentile is an error that at least nine of ten stay within."""
    found = spread([n / 10 for n in range(1, 11)])
    assert found == {"n": 10, "median": 0.5, "p90": 0.9, "worst": 1.0}
    assert spread([0.5])["p90"] == 0.5


@pytest.mark.parametrize("text", ["cases: 3", "- a\n- b", "cases: [1, 2]", "a: [", ""])
def test_a_file_without_cases_is_refused(tmp_path: Path, text: str) -> None:
    """What is not a file of cases is said to be so."""
    path = tmp_path / "cases.yaml"
    path.write_text(text)
    with pytest.raises(BadInput):
        read_cases(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(BadInput, match=r"nothing\.yaml"):
        read_cases(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cases: " + "[" * 100_000, "too deeply nested"),
        ("cases: &c [*c]", "too deeply nested"),
        ("cases: [{id: 1, id: 2}]", "there twice"),
        ("cases: []\narchitectures: [1]", "`architectures` is not a map"),
    ],
    ids=["deep", "cyclic", "twice", "shapes"],
)
def test_a_file_of_cases_is_read_as_carefully_as_a_site(tmp_path: Path, text: str, problem: str) -> None:
    """Neither depth nor aliases end the planner, and each finding has its place."""
    (tmp_path / "cases.yaml").write_text(text)
    with pytest.raises(BadInput, match=problem):
        read_cases(tmp_path / "cases.yaml")


@pytest.mark.parametrize(
    "case",
    [
        {"hardware": {"gpu": "RTX 4090", "nvidia_smi_total_mib": float("inf")}},
        {"hardware": {"gpu": "RTX 4090", "count": 10**9}},
        {"config": {"num_ctx": float("nan")}},
        {"config": {"num_ctx": 1e308}},
        {
            "model": {
                "name": "llama-3.1-8b",
                "architecture": {"layers": 10**9, "heads": 1, "hidden": 1, "vocab": 1},
            }
        },
    ],
    ids=str,
)
def test_numbers_that_are_none_say_nothing(case: dict[str, Any]) -> None:
    """What is endless, no number, or beyond all devices and models is taken as not said."""
    whole = {"engine": "ollama", "model": {"name": "llama-3.1-8b"}, "hardware": {"gpu": "RTX 4090"}, **case}
    assert memory_row(whole, {})["verdict"] in ("fits", "tight", "incomplete", "does not fit")
