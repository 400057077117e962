"""Simulated GPUs on a lab host: a device plugin of the tests that the real kubelet asks; computes nothing."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from aiplat.lab import ssh_argv
from aiplat.plan.gpu_sharing import mig_data, plugin_data
from aiplat.site.models import Site
from aiplat.supply.go import go_environment, go_program
from tests.e2e.journey import Journey
from tests.patience import PATIENCE

SOURCES = Path(__file__).parent / "simulated_gpus"
UNIT = "simulated-gpus"
PROGRAM, CONFIGS = "/usr/local/bin/simulated-gpus", "/run/simulated-gpus.json"
PRODUCT, MEMORY_MIB = "NVIDIA-H100-80GB-HBM3", 81559


def build(folder: Path) -> Path:
    """Build the device plugin from its pinned modules."""
    program = folder / UNIT
    environment = {**os.environ, **go_environment(), "CGO_ENABLED": "0"}
    command = [
        str(go_program()),
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags=-s -w",
        "-o",
        str(program),
        ".",
    ]
    subprocess.run(command, cwd=SOURCES, env=environment, check=True, timeout=1500)
    return program


def write(journey: Journey, host: str, path: str, content: bytes, mode: str = "0644") -> None:
    """Write a file on a host."""
    command = f"install -m {mode} /dev/stdin {path}"
    argv = [*ssh_argv(journey.name, host), command]
    subprocess.run(argv, input=content, check=True, timeout=PATIENCE)


def configure(journey: Journey, site: Site) -> None:
    """Give the device plugin the configurations that the GPU operator's release would bring for the site."""
    read = YAML(typ="safe", pure=True).load
    layouts = mig_data(site).get("config.yaml", "{}")
    document = {
        "plugin": {name: read(text) for name, text in plugin_data(site).items()},
        "mig": read(layouts).get("mig-configs", {}),
    }
    write(journey, site.hosts[0].name, CONFIGS, json.dumps(document).encode())


def start(journey: Journey, site: Site, program: Path) -> None:
    """Start the device plugin on the site's host, with as many cards as the host names."""
    host = site.hosts[0]
    write(journey, host.name, PROGRAM, program.read_bytes(), "0755")
    configure(journey, site)
    words = f"--node={host.name} --cards={len(host.hardware.gpus)} --product={PRODUCT} --memory={MEMORY_MIB}"
    journey.on_host(f"systemd-run -q --unit {UNIT} -p Restart=always {PROGRAM} {words} --configs={CONFIGS}")
