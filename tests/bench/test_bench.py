"""The benchmarks measure what they say: short loads, exact counts, a report with every table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import peers, planner, prefixes
from tests.bench.report import BY_HAND, END, Run, by_hand, write_report
from tests.bench.scenarios import Measured, Scenario, measure, percentile, scenarios


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run of 0.2 s for some scenarios, directly and through the gateway."""
    folder = tmp_path_factory.mktemp("bench")
    todo = (
        Scenario("json c1", 1, seconds=0.2),
        Scenario("json c64", 8, seconds=0.2),
        Scenario("stream c32", 4, "frames-64", stream=True, seconds=0.2),
        Scenario("prompt 10k", 1, prompt=40_000, seconds=0.2),
    )
    with peers.upstream(folder) as direct, peers.gateway(folder, direct, "") as gateway:
        found = (direct, gateway)
        idle = {p.name: p.memory_mb() for p in found}
        results = measure(found, todo, 1, lambda _: None)
        yield Run(results, idle, idle, 1, 0.2, 0.1)


def test_nothing_fails_and_no_frame_is_lost_or_joined(measured: Run) -> None:
    """Every stream has the upstream's frames, one by one; that with usage goes to nobody who did not ask."""
    for by_peer in measured.results.values():
        assert [(m.failed, m.wrong_frames, m.requests > 0) for m in by_peer.values()] == [(0, 0, True)] * 2
    streams = measured.results["stream c32"]
    assert streams["aiplat"].frames == 65 * streams["aiplat"].requests
    assert streams["direct"].frames == 66 * streams["direct"].requests


def test_memory_and_processor_time_are_seen(measured: Run) -> None:
    """A Python process holds some 30 MB and more; a request costs some of its processor's time."""
    assert 20 < measured.idle["aiplat"] < 200
    assert measured.results["json c64"]["aiplat"].cpu > 0
    assert measured.results["json c64"]["aiplat"].memory > 20


def test_the_report_holds_every_table(measured: Run, tmp_path: Path) -> None:
    """Method, machine and a row for each scenario and peer."""
    found: prefixes.Found = {(k, h): [2.0, 1.0] for k in ("shared", "unshared") for h in ("load", "prefix")}
    sections = [prefixes.section(found, 4), planner.section(planner.measure(3))]
    write_report(tmp_path / "page.md", measured, sections)
    page = (tmp_path / "page.md").read_text()
    assert "| 64 | aiplat | " in page
    assert "| stream c32 | direct | " in page
    assert "| 10k | aiplat | " in page
    assert "| unshared | prefix | 2 | 2 | 2 |" in page
    assert "| settled: nothing to do | " in page
    assert "cores of" in page


def test_ratios_are_to_the_peer(measured: Run, tmp_path: Path) -> None:
    """Twice as fast as itself it is not: with ours in the peer's place every ratio is one."""
    for by_peer in measured.results.values():
        by_peer["litellm"] = by_peer["aiplat"]
    memory = dict.fromkeys(("direct", "aiplat", "litellm"), 1.0)
    run = Run(measured.results, memory, memory, 1, 0.2, 0.1)
    write_report(tmp_path / "page.md", run)
    for by_peer in measured.results.values():
        del by_peer["litellm"]
    page = (tmp_path / "page.md").read_text()
    for what in (
        "requests/s against LiteLLM",
        "added latency, LiteLLM's against ours",
        "frames/s against LiteLLM",
    ):
        assert f"| {what} | 1 times |" in page


def test_what_was_written_by_hand_stays(measured: Run, tmp_path: Path) -> None:
    """Word for word, however often the page is written; a part without an end stops it before it is lost."""
    page = tmp_path / "page.md"
    hand = f"{BY_HAND}\n## By a person\n\n| a | b |\n{END}\n"
    page.write_text(f"# Benchmarks\n\nold\n\n{hand}after it\n{hand}")
    for _ in range(2):
        write_report(page, measured)
        assert page.read_text().endswith(f"{hand}\n{hand}")
        assert "old" not in page.read_text()
    page.write_text(hand.replace(END, ""))
    with pytest.raises(ValueError, match="has no"):
        write_report(page, measured)
    assert page.read_text() == hand.replace(END, "")
    assert by_hand((Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text())


def test_percentiles_are_of_sorted_values() -> None:
    """The share that a value is not exceeded by; none of nothing."""
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.99) == 2.0
    assert percentile([], 0.5) == 0.0


def test_rounds_are_added_up() -> None:
    """Rates are over all rounds, not of the last."""
    both = Measured()
    for ms in ([3.0, 1.0], [2.0]):
        seen = {"ms": ms, "first_ms": ms, "wall": 1.0, "frames": 5, "wrong_frames": 0, "failed": 0}
        both.add(seen, cpu=0.1, memory=10.0)
    assert (both.ms, both.per_second, both.frames_per_second, both.rounds) == (
        [1, 2, 3],
        1.5,
        5.0,
        [2.0, 1.0],
    )


def test_what_is_measured_is_what_was_promised() -> None:
    """One, 16 and 64 connections; 100 paced streams; prompts of 1k, 10k and 100k tokens."""
    names = [s.name for s in scenarios(1)]
    assert {"json c1", "json c16", "json c64", "paced c100", "prompt 1k", "prompt 10k", "prompt 100k"} <= set(
        names
    )


def test_prompts_share_beginnings_or_do_not() -> None:
    """Four beginnings for all requests, or one for each."""
    for shared, expected in ((True, 4), (False, 12)):
        texts = prefixes.prompts(shared, 12, seed=1)
        assert len(set(texts)) == 12
        assert len({t[:200] for t in texts}) == expected
