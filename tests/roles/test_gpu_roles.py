"""The modules of host_gpu and host_reboot: other drivers, DKMS, the initramfs, a node opened again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.roles.conftest import RunModule, load_module


def test_only_other_drivers_are_in_the_way() -> None:
    """Another release or flavour goes; what is wanted, the toolkit and what is not NVIDIA's stays."""
    module = load_module("host_gpu/library/other_driver.py")
    present = {
        "nvidia-driver-cuda": "550.120-1",
        "nvidia-kernel-dkms": "580.142-1",
        "nvidia-modprobe": "580.142-1",
        "libnvidia-compute-550": "550.120-1",
        "linux-modules-nvidia-550-6.8.0-51-generic": "6.8.0-51.52",
        "cuda-drivers": "550.120-1",
        "kmod-nvidia-latest-dkms": "3:550.120-1",
        "nvidia-container-toolkit": "1.19.1-1",
        "libnvidia-container1": "1.19.1-1",
        "linux-image-amd64": "6.1.158-1",
    }
    wanted = {"nvidia-driver-cuda": "580.142-1", "nvidia-modprobe": "580.142-1"}
    assert module.others(present, wanted) == [
        "cuda-drivers",
        "kmod-nvidia-latest-dkms",
        "libnvidia-compute-550",
        "linux-modules-nvidia-550-6.8.0-51-generic",
        "nvidia-driver-cuda",
        "nvidia-kernel-dkms",
    ]


def test_a_driver_of_nvidias_installer_is_refused(run_module: RunModule, tmp_path: Path) -> None:
    """No package manager knows it, and its own program takes it away."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/nvidia-uninstall").touch()
    told = run_module("host_gpu/library/other_driver.py", root=str(tmp_path))
    assert told["failed"]
    assert "run `nvidia-uninstall`" in told["msg"]


@pytest.mark.parametrize(
    ("status", "behind"),
    [
        ("", False),
        ("virtualbox/7.0, 6.8.0-51-generic, x86_64: installed", False),
        ("nvidia/580.142, 6.8.0-51-generic, x86_64: installed", False),
        ("nvidia, 580.142, 6.8.0-51-generic, x86_64: installed", False),
        ("nvidia/580.142, 6.8.0-50-generic, x86_64: installed", True),
        ("nvidia/580.142: added", True),
        ("nvidia/580.142, 6.8.0-51-generic, x86_64: built", True),
    ],
)
def test_modules_are_built_for_the_kernel_that_runs(status: str, behind: bool) -> None:
    """Old and new forms of `dkms status`; where DKMS has none of NVIDIA's there is nothing to build."""
    module = load_module("host_gpu/library/built_modules.py")
    assert module.unbuilt(status, "6.8.0-51-generic") is behind


def test_an_initramfs_that_is_older_than_what_modprobe_is_told_is_behind(tmp_path: Path) -> None:
    """Whatever its system calls it; one that is newer is not made again."""
    module = load_module("host_gpu/library/initramfs.py")
    told, image = tmp_path / "nouveau.conf", tmp_path / "initrd.img-6.8.0"
    told.touch()
    assert module.is_behind(tmp_path, "6.8.0", told)
    image.touch()
    os.utime(image, (1, 1))
    assert module.is_behind(tmp_path, "6.8.0", told)
    os.utime(told, (0, 0))
    assert not module.is_behind(tmp_path, "6.8.0", told)


def node(*, ready: bool = True, marked: bool = True) -> dict[str, Any]:
    """Return a node as the API has it."""
    return {
        "metadata": {"annotations": {"aiplat.dev/closed-for-reboot": ""} if marked else {}},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


@pytest.mark.parametrize("marked", [True, False], ids=["by aiplat", "by somebody else"])
def test_a_node_is_opened_by_who_closed_it(
    run_module: RunModule, monkeypatch: pytest.MonkeyPatch, marked: bool
) -> None:
    """It is waited for until it is Ready; the server may not answer at first."""
    module = load_module("aiplat_modules/library/open_node.py")
    answers = iter([None, node(ready=False, marked=marked), node(marked=marked)])
    done: list[str] = []

    def kubectl(*words: str) -> str:
        if words[0] != "get":
            done.append(words[0])
            return ""
        found = next(answers)
        if found is None:
            raise module.HostProblem("connection refused")
        return json.dumps(found)

    monkeypatch.setattr(module, "kubectl", kubectl)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
    assert module.is_marked(module.wait_ready("a1", 60)) is marked
    with pytest.raises(module.HostProblem, match="a1 is not Ready"):
        module.wait_ready("a1", 0)


def test_a_node_that_others_closed_gets_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is not opened after the reboot."""
    module = load_module("aiplat_modules/library/drained_node.py")
    done: list[str] = []
    for closed in (True, False):
        answer = json.dumps({"spec": {"unschedulable": closed}})
        monkeypatch.setattr(module, "kubectl", lambda *words, a=answer: done.append(words[0]) or a)
        module.mark("a1")
    assert done == ["get", "get", "annotate"]
