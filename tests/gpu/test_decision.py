"""What is decided about hosts: recorded ones of real machines, made-up ones for each rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.gpu.choice import DriverChoice, DriverOffer, Hindrance, driver_for
from aiplat.gpu.decision import decide
from aiplat.gpu.facts import facts_of
from aiplat.gpu.host import GpuCard, GpuHost, host_of, owner_of
from aiplat.gpu.judge import judge
from aiplat.gpu.knowledge import answers, owners, verdicts
from aiplat.gpu.signals.all import read_signals

RECORDED: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(
    Path(__file__).parent / "recorded_hosts.yaml"
)
OFFER = DriverOffer(branch=580)


def with_cards(*names: str, **seen: Any) -> GpuHost:
    """Return a host with these cards."""
    return GpuHost(cards=tuple(GpuCard(name=name) for name in names), **seen)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["host"])
def test_a_recorded_host_gets_what_its_verdict_asks_for(case: dict[str, Any]) -> None:
    """Nothing, actions in their order, or a refusal that says what to do."""
    found = decide(case["verdict"], GpuHost.model_validate(case["seen"]), OFFER)
    assert [found.outcome, *(action.kind for action in found.actions)] == case["decision"]
    assert bool(found.problems) == (found.outcome == "refused")
    assert all(problem.what and problem.fix for problem in found.problems)


def test_every_verdict_has_an_answer() -> None:
    """Neither a verdict without one, nor an answer to a verdict that nobody gives."""
    assert set(answers()) == {*verdicts(), "healthy", "unknown", "no-gpu"}


def test_owners_of_drivers_are_known_to_the_decision() -> None:
    """The file names no owner that no sentence is for."""
    refused = {owner: decide("nouveau-bound", GpuHost(owner=owner), OFFER) for owner in owners()}
    assert {found.outcome for found in refused.values()} == {"refused"}


@pytest.mark.parametrize(
    ("names", "driver"),
    [
        (["NVIDIA L4"], DriverChoice(branch=580, modules="open")),
        (["GeForce RTX 5090"], DriverChoice(branch=580, modules="open")),
        (["GeForce RTX 2080 Ti", "GeForce RTX 5090"], DriverChoice(branch=580, modules="open")),
        (["Tesla V100-SXM2-16GB"], DriverChoice(branch=580, modules="proprietary")),
        (["Tesla P40", "Tesla T4"], DriverChoice(branch=580, modules="proprietary")),
        (["Tesla K80"], DriverChoice(branch=470, modules="proprietary")),
        (["Tesla M2070"], DriverChoice(branch=390, modules="proprietary")),
    ],
)
def test_a_driver_is_chosen_by_card(names: list[str], driver: DriverChoice) -> None:
    """The newest branch that takes all cards, and the flavour of modules that all work with."""
    assert driver_for(with_cards(*names), OFFER) == driver


@pytest.mark.parametrize(
    ("names", "branch", "words"),
    [
        (["GeForce RTX 5090", "Tesla P40"], 580, "no kernel module takes Blackwell and Pascal together"),
        (
            ["Tesla K80", "NVIDIA L4"],
            580,
            "Ada Lovelace begins with driver branch 520 and Kepler ends with 470",
        ),
        (["GeForce RTX 5090"], 550, "Blackwell begins with driver branch 570 and the bundle has 550"),
        (["Frobnicator 9000"], 580, "not known what card Frobnicator 9000 is"),
        ([], 580, "its cards were not seen"),
    ],
)
def test_cards_that_no_driver_takes_are_refused(names: list[str], branch: int, words: str) -> None:
    """Each with the reason, before anything is installed."""
    found = driver_for(with_cards(*names), DriverOffer(branch=branch))
    assert isinstance(found, Hindrance)
    assert words in found.what


@pytest.mark.parametrize(
    ("host", "offer", "words"),
    [
        (with_cards("Tesla K80"), OFFER, ("branch 470 at most, and the bundle has 580", "gpu: none")),
        (
            with_cards("Tesla P40"),
            DriverOffer(branch=580, modules=("open",)),
            ("the proprietary kernel modules", "`gpu: {modules: proprietary}`"),
        ),
        (
            with_cards("GeForce RTX 5090"),
            DriverOffer(branch=580, modules=("proprietary",)),
            ("the open kernel modules", "`gpu: {modules: open}`"),
        ),
        (
            with_cards("H200", switches=True),
            DriverOffer(branch=580, fabric_manager=False),
            ("NVSwitches", "`gpu: {fabricManager: true}`"),
        ),
        (
            with_cards("L4", system="rocky-9", kernel="5.14.0-570.el9.x86_64", headers=False),
            OFFER,
            ("headers of kernel 5.14.0-570.el9.x86_64", "kernel-devel-5.14.0-570.el9.x86_64"),
        ),
        (
            with_cards("L4", system="ubuntu-24.04", kernel="6.8.0-51-generic", headers=False),
            OFFER,
            ("headers of kernel", "linux-headers-6.8.0-51-generic"),
        ),
        (with_cards("L4", secure_boot=True), OFFER, ("Secure Boot is on", "choose Enroll MOK")),
        (with_cards("L4", system="fedora-44"), OFFER, ("fedora-44", "debian-12")),
        (
            with_cards("L4", kernel="6.17.9-arch1"),
            DriverOffer(branch=580, version="580.119.02"),
            ("driver 580.119.02 does not build for kernel 6.17.9-arch1", "older kernel"),
        ),
    ],
)
def test_what_is_known_not_to_work_is_refused(
    host: GpuHost, offer: DriverOffer, words: tuple[str, str]
) -> None:
    """The problem and what to do about it are named; nothing is to be done on the host."""
    found = decide("driver-not-installed", host, offer)
    assert (found.outcome, found.actions) == ("refused", ())
    assert words[0] in found.problems[0].what
    assert words[1] in found.problems[0].fix


def test_all_problems_are_told_at_once() -> None:
    """Who mends one does not meet the next in another run."""
    host = with_cards("Tesla P40", headers=False, secure_boot=True, system="fedora-44")
    assert len(decide("driver-not-installed", host, DriverOffer(branch=580, modules=("open",))).problems) == 4


@pytest.mark.parametrize(
    ("host", "offer"),
    [
        (with_cards("L4", secure_boot=True, key_enrolled=True), OFFER),
        (
            with_cards("L4", kernel="6.8.0-51-generic", headers=False),
            DriverOffer(branch=580, headers=("6.8.0-51-generic",)),
        ),
        (with_cards("L4", kernel="6.17.9"), DriverOffer(branch=580, version="580.142")),
        (with_cards("L4", kernel="6.16.0"), DriverOffer(branch=580, version="580.119.02")),
    ],
)
def test_what_was_put_right_is_no_obstacle(host: GpuHost, offer: DriverOffer) -> None:
    """A key that is enrolled, headers in the bundle, a release that builds again, a kernel that is older."""
    assert decide("driver-not-installed", host, offer).outcome == "act"


def test_a_reboot_is_decided_where_another_driver_has_the_card() -> None:
    """Nouveau or another release cannot be replaced while it is loaded; a free card needs none."""
    free, held = with_cards("L4"), with_cards("L4", nouveau=True)
    other = with_cards("L4", driver="550.90.07")
    found = [decide("driver-not-installed", host, OFFER) for host in (free, held, other)]
    assert [one.has("reboot") for one in found] == [False, True, True]
    assert [one.has("restart-k3s") for one in found] == [True, False, False]
    assert found[2].actions[0].text == "remove driver 550.90.07"


@pytest.mark.parametrize(
    ("driver", "version", "outcome"),
    [
        ("550.120", "580.142", "act"),
        ("580.142", "580.142", "refused"),
        ("590.48.01", "580.142", "refused"),
        ("580.119", "580.142", "act"),
        ("580.82", "", "refused"),
    ],
)
def test_a_driver_that_is_too_old_is_replaced_by_a_newer_one_alone(
    driver: str, version: str, outcome: str
) -> None:
    """The same or an older one would not help."""
    found = decide(
        "gpu-not-supported-by-driver",
        with_cards("L4", driver=driver),
        DriverOffer(branch=580, version=version),
    )
    assert found.outcome == outcome


def test_a_fabric_manager_has_the_drivers_version() -> None:
    """Where the bundle's is another than the host's driver, both are replaced."""
    host = with_cards("H200", driver="580.142", switches=True)
    alone = decide("fabricmanager-not-running", host, DriverOffer(branch=580, version="580.142"))
    both = decide("fabricmanager-version-mismatch", host, DriverOffer(branch=580, version="580.159.04"))
    assert [a.kind for a in alone.actions] == ["fabric-manager"]
    assert {"driver", "fabric-manager", "reboot"} <= {a.kind for a in both.actions}


BARE = {
    "cat /etc/os-release": 'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\n',
    "uname -a": "Linux gpu-1 6.8.0-51-generic #52-Ubuntu SMP x86_64 GNU/Linux",
    "lspci -nnk": "41:00.0 3D controller [0302]: NVIDIA Corporation AD102GL [L40S] [10de:26b9] (rev a1)\n"
    "\tKernel driver in use: nouveau",
    "lsmod": "nouveau 3096576 0",
    "nvidia-smi": "/bin/sh: 1: nvidia-smi: not found",
    "mokutil --sb-state": "SecureBoot disabled",
    "kernel build folder": "/lib/modules/6.8.0-51-generic/build",
    "nvidia-container-runtime": "nvidia-container-runtime: not installed",
}


def test_a_host_is_known_from_its_facts() -> None:
    """What the probe's commands print becomes the typed host that decisions are made from."""
    assert host_of(read_signals(facts_of(BARE))) == GpuHost(
        system="ubuntu-24.04",
        kernel="6.8.0-51-generic",
        cards=(GpuCard(name="L40S", device="26b9"),),
        nouveau=True,
        secure_boot=False,
        headers=True,
        toolkit=False,
    )


@pytest.mark.parametrize(
    ("change", "verdict", "kinds"),
    [
        ({}, "nouveau-bound", ["nouveau", "driver", "persistence", "toolkit", "cdi", "reboot"]),
        (
            {"lsmod": "", "lspci -nnk": BARE["lspci -nnk"].splitlines()[0]},
            "driver-not-installed",
            ["driver", "persistence", "toolkit", "cdi", "restart-k3s"],
        ),
        (
            {
                "lsmod": "nvidia 56717312 10",
                "lspci -nnk": "",
                "nvidia-smi": "",
                "nvidia-smi -L": "GPU 0: NVIDIA L40S (UUID: GPU-00000000-0000-0000-0000-000000000000)",
            },
            "container-toolkit-missing",
            ["toolkit", "cdi", "restart-k3s"],
        ),
    ],
)
def test_facts_lead_to_a_verdict_and_that_to_actions(
    change: dict[str, str], verdict: str, kinds: list[str]
) -> None:
    """A fresh host with and without nouveau, and one with a driver and no toolkit."""
    facts = facts_of(BARE | change)
    found = judge(facts)
    assert found.verdict == verdict
    assert [a.kind for a in decide(found.verdict, host_of(read_signals(facts)), OFFER).actions] == kinds


@pytest.mark.parametrize(
    ("system", "kernel", "names", "owner"),
    [
        ("ubuntu-24.04", "6.6.87.2-microsoft-standard-WSL2", "", "windows"),
        ("ubuntu-22.04", "5.15.148-tegra", "Orin (nvgpu)", "jetson"),
        ("bottlerocket-1.20", "6.1.0", "Tesla T4", "image"),
        ("ubuntu-24.04", "6.8.0-51-generic", "NVIDIA L4", "host"),
    ],
)
def test_who_provides_a_driver_is_known(system: str, kernel: str, names: str, owner: str) -> None:
    """By the system, the kernel or the cards' names."""
    assert owner_of(system, kernel, names) == owner
    assert owner_of(system, kernel, names, container=True) == ("container" if owner == "host" else owner)
