"""The verb `aiplat fit`: answers, exit codes, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from aiplat.cli import fit as verb
from aiplat.errors import BadInput

CASES = Path(__file__).parents[1] / "fit" / "cases.yaml"
SPEEDS = Path(__file__).parents[1] / "fit" / "speeds.yaml"

app = typer.Typer()
app.callback()(lambda: None)
verb.register(app)


def run(*arguments: str) -> tuple[int, str]:
    """Return exit code and output of the verb."""
    done = CliRunner().invoke(app, ["fit", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def answer(*arguments: str) -> dict[str, Any]:
    """Return the JSON document of the verb."""
    document: dict[str, Any] = json.loads(run(*arguments, "--json")[1])
    return document


def test_a_fit_is_answered_with_reasons_and_speed() -> None:
    """A model on a card: verdict, bytes by device, a range of speed, what was assumed."""
    told = answer("llama3.1:8b", "--device", "RTX 4090", "--context", "8192")
    assert (told["kind"], told["verdict"]) == ("Fit", "fits")
    assert told["memory"]["devices"][0]["capacity"] > told["memory"]["devices"][0]["need"] > 0
    speed = told["tok_s"]["single_stream"]
    assert speed["low"] < speed["likely"] < speed["high"]
    assert any("quantisation" in line for line in told["assumed"])


def test_what_does_not_fit_ends_with_three() -> None:
    """A refusal has exit code 3, its reason, and what would fit."""
    code, text = run("deepseek-r1:671b", "--device", "cpu 64 GB")
    assert code == 3
    assert "does not fit" in text
    assert "would fit:" in text


def test_a_name_without_a_tag_means_what_the_engine_serves_under_it() -> None:
    """Ollama's `deepseek-r1` has 8B; with its size the large one is meant."""
    assert answer("deepseek-r1", "--device", "RTX 4090")["model"]["name"] == "deepseek-r1-0528-qwen3-8b"
    assert answer("deepseek-r1:671b", "--device", "RTX 4090")["verdict"] == "does not fit"


@pytest.mark.parametrize("device", ["cpu", "0 GB card"])
def test_memory_that_nobody_said_is_no_answer(device: str) -> None:
    """Without an amount there is no verdict: exit code 2, not that of a fit."""
    code, text = run("llama3.1:8b", "--device", device)
    assert code == 2
    assert "how much memory there is was not said" in text


def test_slots_multiply_the_context() -> None:
    """`--context` is one request's: four slots keep four times as many tokens."""
    one = answer("llama3.1:8b", "--device", "RTX 4090", "--context", "4096")
    four = answer("llama3.1:8b", "--device", "RTX 4090", "--context", "4096", "--parallel", "4")
    assert four["memory"]["kv"] == 4 * one["memory"]["kv"]


def test_a_question_without_model_or_device_is_refused() -> None:
    """What is missing is named."""
    with pytest.raises(BadInput, match="no model is named"):
        run()
    with pytest.raises(BadInput, match="no device is named"):
        run("llama3.1:8b")


def test_a_file_of_cases_is_counted() -> None:
    """The report has errors by engine and the ids of each kind of mistake."""
    report = answer("--cases", str(CASES))
    assert set(report["engines"]["llama.cpp"]) == {"n", "median", "p90", "worst"}
    assert report["false_fits"] == report["false_refusals"] == []
    assert len(report["cases"]) > 10
    assert {"id", "verdict", "error"} <= set(report["cases"][0])
    assert "false fits: 0" in run("--cases", str(CASES))[1]


def test_a_file_of_speeds_is_counted() -> None:
    """Speeds have the same table, and ranges."""
    report = answer("--cases", str(SPEEDS))
    assert report["engines"]["llama.cpp"]["n"] == 3
    assert report["false_fits"] == []
    assert report["cases"][0]["predicted"]["low"] > 0


def test_constants_are_fitted_from_a_file() -> None:
    """`--calibrate` prints constants by name."""
    constants = json.loads(run("--cases", str(SPEEDS), "--calibrate")[1])
    assert all(name.startswith(("throughput.", "serving.")) for name in constants)


def test_a_site_is_compared_with_gpus_everywhere(tmp_path: Path) -> None:
    """The built-in example has both layouts with costs, as tables, JSON and a picture."""
    report = answer("--site", "five-machines")
    assert [layout["name"] for layout in report["layouts"]] == ["mixed nodes", "all nodes with GPU"]
    picture = tmp_path / "layouts.svg"
    code, text = run("--site", "five-machines", "--svg", str(picture))
    assert code == 0
    assert "EUR (kWh) for a million tokens" in text
    assert picture.read_text().startswith("<svg")
    one = answer("llama3.1:8b", "--site", "five-machines")
    assert [entry["model"] for entry in one["layouts"][0]["models"]] == ["llama3.1:8b"]


def test_only_engines_with_layouts_are_compared() -> None:
    """An engine that is not compared is refused by name."""
    with pytest.raises(BadInput, match="is not compared"):
        run("--site", "five-machines", "--engine", "ik_llama.cpp")
