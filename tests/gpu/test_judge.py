"""The judge on made-up hosts: every verdict, mixtures, healthy look-alikes, too little known."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.gpu.facts import facts_of
from aiplat.gpu.judge import HEALTHY, UNKNOWN, Judgement, judge
from aiplat.gpu.rules.order import RULES

CASES: list[dict[str, Any]] = [
    case
    for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for case in YAML(typ="safe", pure=True).load(path)
]
STAMPS = (
    "[ 1234.567890] ",
    "Jun 03 04:05:06 node9 kernel: ",
    "2026-06-03T04:05:06.123456+02:00 node9 kernel: ",
)
ILL = [case for case in CASES if case["verdict"] not in (HEALTHY, UNKNOWN)]


def of(case: dict[str, Any]) -> Judgement:
    """Judge one case."""
    return judge(facts_of(case["facts"]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_host_gets_its_verdict(case: dict[str, Any]) -> None:
    """The root cause is named, and what follows from it is reported with it."""
    found = of(case)
    told = [also.verdict for also in found.also]
    assert found.verdict == case["verdict"], (told, found.evidence)
    assert set(case.get("also", ())) <= set(told)


@pytest.mark.parametrize("case", ILL, ids=lambda case: case["id"])
def test_an_ill_host_is_explained(case: dict[str, Any]) -> None:
    """A verdict comes with a cause, a fix, and passages that really stand in the facts."""
    found = of(case)
    assert found.cause.endswith(".")
    assert found.fix.endswith(".")
    assert found.evidence
    assert {passage.command for passage in found.evidence} <= set(case["facts"])


def test_evidence_of_a_long_line_is_cut_around_what_matters() -> None:
    """Layers that pass an error on write before it: its end is shown, as many lines as may help, no more."""
    long = "level=error " + "failed to create shim task: " * 30 + "could not frobnicate the widget"
    quotes = [
        e.quote for e in judge(facts_of({"kubectl describe pod": "\n".join([long] + ["error"] * 9)})).evidence
    ]
    assert "frobnicate the widget" in quotes[0]
    assert len(quotes[0]) <= 240
    assert len(quotes) <= 3


@pytest.mark.parametrize("case", ILL, ids=lambda case: case["id"])
def test_a_proof_of_health_does_not_hide_an_illness(case: dict[str, Any]) -> None:
    """A host that lists its card and is ill elsewhere is never called healthy."""
    seen = case["facts"] | {"nvidia-smi -L (later)": "GPU 0: NVIDIA L4 (UUID: GPU-dddddddd-0-0-0-0)"}
    assert judge(facts_of(seen)).verdict != HEALTHY


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_order_of_facts_does_not_matter(case: dict[str, Any]) -> None:
    """Whichever command was run first, the verdict is the same."""
    mixed = list(case["facts"].items())
    random.Random(case["id"]).shuffle(mixed)  # noqa: S311 - the same order in every run
    assert judge(facts_of(dict(mixed))).verdict == case["verdict"]


@pytest.mark.parametrize("case", ILL, ids=lambda case: case["id"])
def test_a_log_reads_the_same_with_and_without_stamps(case: dict[str, Any]) -> None:
    """dmesg, journalctl and syslog write other things before the same message."""
    for stamp in (
        "[ 1234.567890] ",
        "Jun 03 04:05:06 node9 kernel: ",
        "2026-06-03T04:05:06.123456+02:00 node9 kernel: ",
    ):
        logs = {
            command: "\n".join(f"{stamp}{line.strip()}" for line in text.splitlines())
            for command, text in case["facts"].items()
            if command.startswith(("dmesg",))
        }
        assert judge(facts_of(case["facts"] | logs)).verdict == case["verdict"]


def test_every_verdict_has_a_made_up_host() -> None:
    """No rule is without a case that needs it."""
    assert {rule.verdict for rule in RULES} == {case["verdict"] for case in ILL}


def test_verdicts_that_are_explained_exist() -> None:
    """What a rule explains is a verdict of another rule that comes after it or is named by it."""
    known = {rule.verdict for rule in RULES}
    assert [(rule.verdict, name) for rule in RULES for name in rule.explains if name not in known] == []


def test_unknown_says_what_to_look_at() -> None:
    """Where facts do not suffice, commands that read come next."""
    found = judge(facts_of({"nvidia-smi": "Segmentation fault"}))
    assert found.verdict == UNKNOWN
    assert any(command.startswith("lspci") for command in found.next)
    assert all(command in found.fix for command in found.next)


def test_what_to_look_at_is_in_the_hosts_own_data_folder() -> None:
    """Who has k3s' data on another disk is sent there, not to the usual place."""
    seen = {
        "lspci -nnk": "41:00.0 3D controller [0302]: NVIDIA Corporation AD102GL [L40S] [10de:26b9]",
        "lsmod": "nvidia 56717312 10 nvidia_uvm,nvidia_modeset",
        "nvidia-smi": "Segmentation fault",
    }
    looks = " ".join(judge(facts_of(seen), "/data/aiplat/k3s").next)
    assert "/data/aiplat/k3s/agent/etc/containerd/config.toml" in looks
    assert "/var/lib/rancher" not in looks


@pytest.mark.parametrize("case", ILL, ids=lambda case: case["id"])
def test_an_ill_host_is_never_called_healthy_beside_a_healthy_one(case: dict[str, Any]) -> None:
    """Facts of hosts that are well, mixed among those of one that is ill, do not make it well."""
    well = [other for other in CASES if other["verdict"] == HEALTHY]
    for other in random.Random(case["id"]).sample(well, 3):  # noqa: S311 - the same hosts in every run
        beside = {f"{command} (2)": text for command, text in other["facts"].items()}
        assert judge(facts_of(case["facts"] | beside)).verdict != HEALTHY, other["id"]


@pytest.mark.parametrize("text", ["| 0 x On |" * 5_000, "a b " * 10_000, '{"error": 1}' * 5_000])
def test_a_line_without_end_is_judged(text: str) -> None:
    """A log of one huge line is looked through, and what else was seen is still found."""
    found = judge(facts_of({"journalctl": text, "nvidia-smi": "NVML: Driver/library version mismatch"}))
    assert found.verdict == "driver-library-mismatch"
