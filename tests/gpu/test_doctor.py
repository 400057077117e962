"""`aiplat doctor gpu`: recorded facts and a site's hosts, JSON, exit codes, and the probe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.actions import doctor
from aiplat.actions.doctor import NO_GPU, judge_site
from aiplat.fleet.gpus import GpuFacts
from aiplat.fleet.remote import probe_gpu
from aiplat.gpu.facts import facts_of
from aiplat.gpu.host import host_of
from aiplat.gpu.signals.all import read_signals
from aiplat.site.models import Site

MISMATCH = "Failed to initialize NVML: Driver/library version mismatch"
LISTED = "GPU 0: NVIDIA L4 (UUID: GPU-00000000-0000-0000-0000-000000000000)"


def run(*arguments: str) -> tuple[int, str, str]:
    """Run the command line; return exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", "from aiplat.cli.main import main; main()", "doctor", "gpu", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def written(folder: Path, document: dict[str, Any], name: str = "case.yaml") -> str:
    """Write a file of recorded facts and return its path."""
    path = folder / name
    with path.open("w") as file:
        YAML().dump(document, file)
    return str(path)


def test_recorded_facts_are_judged_as_one_document(tmp_path: Path) -> None:
    """Verdict, cause and fix stand in one JSON document; exit code 3 says that the host is ill."""
    code, out, _ = run("--facts", written(tmp_path, {"facts": {"nvidia-smi": MISMATCH}}), "--json")
    found = json.loads(out)
    assert (code, found["verdict"]) == (3, "driver-library-mismatch")
    assert found["cause"]
    assert found["fix"]
    assert found["evidence"] == [{"command": "nvidia-smi", "quote": MISMATCH}]


def test_only_the_facts_are_read(tmp_path: Path) -> None:
    """What else stands in the file, and its name, change nothing."""
    facts = {"nvidia-smi": MISMATCH}
    plain = run("--facts", written(tmp_path, {"facts": facts}), "--json")
    talkative = {
        "id": "healthy--everything-fine",
        "os": "microsoft-standard-WSL2",
        "facts": facts,
        "verdict": "healthy",
        "cause": "GPU has fallen off the bus",
        "notes": "lspci: Kernel driver in use: nouveau",
    }
    assert run("--facts", written(tmp_path, talkative, "healthy--x.yaml"), "--json") == plain


def test_a_host_that_is_well_ends_with_0(tmp_path: Path) -> None:
    """People read a verdict, a cause and what it rests on."""
    code, out, _ = run("--facts", written(tmp_path, {"facts": {"nvidia-smi -L": LISTED}}))
    assert code == 0
    assert "verdict: healthy" in out
    assert "NVIDIA L4" in out


@pytest.mark.parametrize("text", ["facts: [a]\n", "verdict: healthy\n", "facts: {a: b\n"])
def test_a_file_without_facts_is_refused(tmp_path: Path, text: str) -> None:
    """Exit code 2, the file's name, and what should stand in it."""
    (tmp_path / "bad.yaml").write_text(text)
    code, out, err = run("--facts", str(tmp_path / "bad.yaml"))
    assert (code, out) == (2, "")
    assert "bad.yaml" in err


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Exit code 2 and its name."""
    code, _, err = run("--facts", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "none.yaml" in err


def test_a_site_and_facts_at_once_are_refused(tmp_path: Path) -> None:
    """It cannot be both."""
    code, _, err = run("lab", "--facts", str(tmp_path / "x.yaml"))
    assert code == 2
    assert "not both" in err


def test_hosts_of_a_site_are_judged_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without a GPU is not an ill host; one that does not answer is not called well."""
    seen = (
        GpuFacts("a", True, facts_of({"nvidia-smi -L": LISTED})),
        GpuFacts("b", True, facts_of({"nvidia-smi": MISMATCH})),
        GpuFacts("c", False, ()),
        GpuFacts("d", False, (), "d: does not answer"),
    )
    monkeypatch.setattr(doctor, "gather_gpu_facts", lambda _: seen)
    site = Site.model_construct()
    found = [(verdict.host, verdict.judgement.verdict, verdict.good) for verdict in judge_site(site)]
    assert found == [
        ("a", "healthy", True),
        ("b", "driver-library-mismatch", False),
        ("c", NO_GPU, True),
        ("d", "unknown", False),
    ]


def test_the_probe_finds_a_gpu_on_the_bus(tmp_path: Path) -> None:
    """A display device of NVIDIA's counts, its audio function and other vendors do not."""
    for address, vendor, kind in (("a", "0x10de", "0x040300"), ("b", "0x8086", "0x030000")):
        folder = tmp_path / "sys/bus/pci/devices" / address
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "class").write_text(f"{kind}\n")
    assert not probe_gpu.has_gpu(tmp_path)
    (tmp_path / "sys/bus/pci/devices/a/class").write_text("0x030200\n")
    assert probe_gpu.has_gpu(tmp_path)


def test_the_probe_names_cards_and_switches_without_lspci(tmp_path: Path) -> None:
    """A minimal host has no lspci: what holds a card is read where the kernel shows it."""
    bus = tmp_path / "sys/bus/pci/devices"
    driver = tmp_path / "sys/bus/pci/drivers/nouveau"
    driver.mkdir(parents=True)
    for address, kind, device in (
        ("0000:41:00.0", "0x030200", "0x26b9"),
        ("0000:42:00.0", "0x068000", "0x1af1"),
    ):
        (bus / address).mkdir(parents=True)
        for name, text in (("vendor", "0x10de"), ("class", kind), ("device", device)):
            (bus / address / name).write_text(f"{text}\n")
    (bus / "0000:41:00.0/driver").symlink_to(driver)
    assert probe_gpu.on_bus(tmp_path).splitlines() == [
        "0000:41:00.0 3D controller [0302]: NVIDIA Corporation Device [10de:26b9]",
        "\tKernel driver in use: nouveau",
        "0000:42:00.0 Bridge [0680]: NVIDIA Corporation Device [10de:1af1]",
    ]


def test_a_card_is_simulated_on_lab_hosts_alone(tmp_path: Path) -> None:
    """A real host's cards are never made up, and what is made up says so."""
    (tmp_path / "etc/aiplat").mkdir(parents=True)
    (tmp_path / probe_gpu.SIMULATED).write_text('{"nvidia-smi": "made up"}')
    assert probe_gpu.simulated(tmp_path) == {}
    (tmp_path / "etc/aiplat/lab-host").write_text("t-any\n")
    made_up = probe_gpu.simulated(tmp_path)
    assert made_up == {"nvidia-smi": "made up", probe_gpu.SIMULATED: "this card is simulated"}
    assert host_of(read_signals(facts_of(made_up))).simulated


def test_the_probe_tells_what_failed_and_hides_what_is_not_installed() -> None:
    """A missing tool says nothing about a GPU, except nvidia-smi; a tool's own error is reported."""
    assert probe_gpu.output("no-such-tool-here --version") == ""
    assert "No such file" in probe_gpu.output("ls -l /dev/no-such-node-here")
    assert probe_gpu.output("grep -n nothing /no/such/file") == ""
    assert probe_gpu.output("echo well") == "well"


def test_the_probe_runs_as_a_script() -> None:
    """It is sent to a host by standard input and prints one document."""
    script = Path(probe_gpu.__file__).read_bytes()
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, check=True)
    assert set(json.loads(done.stdout)) == {"has_gpu", "facts"}
