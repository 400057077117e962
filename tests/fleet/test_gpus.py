"""Gathering GPU facts: one call a host, and what is judged of made-up tools."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from aiplat.fleet.gpus import gather_gpu_facts
from aiplat.fleet.remote import probe_gpu
from aiplat.gpu.facts import facts_of
from aiplat.gpu.judge import Judgement, judge
from aiplat.hosts.paths import paths_of
from aiplat.site.models import Site

# What the tools of a host with one L40S print, each when it is asked as the probe asks.
WELL = {
    "uname": "echo Linux n1 6.8.0-60-generic '#63-Ubuntu SMP' x86_64 GNU/Linux",
    "hostname": "echo n1",
    "lspci": "printf '%s\\n' "
    "'41:00.0 3D controller [0302]: NVIDIA Corporation AD102GL [L40S] [10de:26b9] (rev a1)' "
    "'\tKernel driver in use: nvidia' '\tKernel modules: nvidiafb, nouveau, nvidia_drm, nvidia'",
    "lsmod": "printf '%s\\n' 'nvidia_uvm 4800512 0' 'nvidia 97120256 1 nvidia_uvm'",
    "modinfo": "printf '%s\\n' 'version: 580.95.05' 'license: Dual MIT/GPL'",
    "mokutil": "echo SecureBoot disabled",
    "dkms": "echo 'nvidia/580.95.05, 6.8.0-60-generic, x86_64: installed'",
    "dmesg": "printf '%s\\n' "
    "'[1.0] nvidia: module verification failed: signature and/or required key missing - tainting kernel' "
    "'[1.1] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build'",
    "systemctl": "printf '%s\\n' Id=nvidia-fabricmanager.service LoadState=not-found ActiveState=inactive",
    "nvidia-container-runtime": "exit 0",
    "kubectl": "printf '%s\\n' '  allocatable:' '    cpu: \"64\"' '    nvidia.com/gpu: \"1\"' '  capacity:' "
    "'    cpu: \"64\"' '    nvidia.com/gpu: \"1\"' '  conditions:'",
    "systemd-detect-virt": "echo none; exit 1",
    "nvidia-smi": """case "$*" in
-L) echo 'GPU 0: NVIDIA L40S (UUID: GPU-00000000-0000-0000-0000-000000000000)';;
-q*) printf '%s\\n' '    Remapped Rows' '        Uncorrectable Error : 0' \
'        Pending : No' '        Remapping Failure Occurred : No' '    ECC Errors' '        Volatile' \
'            DRAM Uncorrectable : 0';;
--query*) printf '%s\\n' 'index, name, driver_version, fabric.state, fabric.status' \
'0, NVIDIA L40S, 580.95.05, N/A, N/A';;
*) echo '|   0  NVIDIA L40S                    On  |   00000000:41:00.0 Off |                    0 |';;
esac""",
}
TOOLS = ("sh", "grep", "sed", "tail", "tr", "cat", "printf", "ls")


def seen_with(tools: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Judgement:
    """Judge what the probe sees on a host that has these tools and no others."""
    programs = folder / "tools"
    programs.mkdir()
    for name in TOOLS:
        real = next(Path(part) / name for part in os.defpath.split(":") if (Path(part) / name).exists())
        (programs / name).symlink_to(real)
    for name, script in tools.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    said = {command: text for command in probe_gpu.COMMANDS if (text := probe_gpu.output(command))}
    # This machine has no nodes of NVIDIA's; a host that is well has them, and ls says so.
    said.pop("ls -l /dev/nvidia*")
    return judge(facts_of(said))


def test_a_host_whose_tools_are_content_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that the probe asks of a host that is well reads like trouble."""
    found = seen_with(WELL, tmp_path, monkeypatch)
    assert found.verdict == "healthy", found.evidence
    assert "the driver lists its cards" in found.proven
    assert "the node offers GPUs" in found.proven


@pytest.mark.parametrize(
    ("tool", "script", "verdict"),
    [
        (
            "nvidia-smi",
            "echo 'Failed to initialize NVML: Driver/library version mismatch'",
            "driver-library-mismatch",
        ),
        ("lspci", WELL["lspci"].replace("in use: nvidia", "in use: vfio-pci"), "gpu-bound-vfio"),
        (
            "kubectl",
            "printf '%s\\n' '  allocatable:' '    cpu: \"64\"' '  conditions:'",
            "no-gpu-resource-on-node",
        ),
        ("dmesg", "echo 'NVRM: Xid (PCI:0000:41:00): 79, GPU has fallen off the bus.'", "gpu-fallen-off-bus"),
    ],
)
def test_one_tool_that_complains_decides(
    tool: str, script: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same host with one thing wrong gets that verdict, whatever else is well."""
    assert seen_with(WELL | {tool: script}, tmp_path, monkeypatch).verdict == verdict


def test_a_host_without_a_container_runtime_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its driver works, and no container would get the card."""
    tools = {name: script for name, script in WELL.items() if name != "nvidia-container-runtime"}
    assert seen_with(tools, tmp_path, monkeypatch).verdict == "container-toolkit-missing"


def test_hosts_are_asked_by_one_call_each(site: Site, host_here: Path) -> None:
    """Every host is in the answer, in the order of the site."""
    seen = gather_gpu_facts(site)
    here = probe_gpu.has_gpu()
    assert [(facts.host, facts.has_gpu, facts.problem) for facts in seen] == [
        ("s1", here, ""),
        ("a1", here, ""),
    ]
    assert {facts.k3s for facts in seen} == {paths_of(None).k3s}


def test_a_host_that_does_not_answer_is_told(site: Site, host_here: Path, tmp_path: Path) -> None:
    """An unreachable host has its sentence; it is neither well nor without a GPU."""
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\necho 'ssh: connect: No route to host' >&2\nexit 255\n")
    assert all("does not answer" in facts.problem for facts in gather_gpu_facts(site))


def test_the_probe_asks_nothing_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A host without a GPU is looked at once, and no tool is run on it."""
    monkeypatch.setattr(probe_gpu, "has_gpu", lambda: False)
    probe_gpu.main()
    assert json.loads(capsys.readouterr().out) == {"has_gpu": False, "facts": {}}
