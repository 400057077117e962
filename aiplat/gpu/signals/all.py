"""Reads every source once: the signals of one host, as rules see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiplat.gpu.facts import Evidence, Fact
from aiplat.gpu.knowledge import statements
from aiplat.gpu.signals import cluster, kernel, modules, packages, smi
from aiplat.gpu.signals.lspci import PciDevice, devices
from aiplat.gpu.signals.said import said


@dataclass(frozen=True)
class Signals:
    """Everything read from a host's facts; `said` holds the statements by name with their passages."""

    facts: tuple[Fact, ...]
    devices: tuple[PciDevice, ...]
    smi: smi.Smi
    kernel: kernel.Kernel
    modules: modules.Modules
    packages: packages.Packages
    cluster: cluster.ClusterSignals
    said: dict[str, tuple[Evidence, ...]]

    @property
    def gpus(self) -> tuple[PciDevice, ...]:
        """Return the GPUs among the PCI functions."""
        return tuple(device for device in self.devices if device.kind == "gpu")

    def heard(self, *names: str) -> tuple[Evidence, ...]:
        """Return the passages of any of these statements."""
        return tuple(passage for name in names for passage in self.said.get(name, ()))


def read_signals(facts: Iterable[Fact]) -> Signals:
    """Return the signals of one host."""
    known = tuple(facts)
    return Signals(
        facts=known,
        devices=devices(known),
        smi=smi.read_smi(known),
        kernel=kernel.read_kernel(known),
        modules=modules.read_modules(known),
        packages=packages.read_packages(known),
        cluster=cluster.read_cluster(known),
        said=said(known, statements()),
    )
