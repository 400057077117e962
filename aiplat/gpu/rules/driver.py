"""Rules about which driver holds a card and whether it can: flavour, branch, versions, nodes."""

from __future__ import annotations

import re

from aiplat.gpu.facts import Evidence
from aiplat.gpu.knowledge import GpuGeneration, by_name
from aiplat.gpu.rules.rule import Indication, rule, seen
from aiplat.gpu.signals.all import Signals


def architectures(signals: Signals) -> tuple[tuple[GpuGeneration, Evidence], ...]:
    """Return the generations of the host's cards with what shows them."""
    by_pci = [(device.architecture, device.evidence) for device in signals.gpus]
    by_smi = [(by_name(card.name), card.evidence) for card in signals.smi.cards]
    return tuple((architecture, evidence) for architecture, evidence in [*by_pci, *by_smi] if architecture)


def driver_works(signals: Signals) -> bool:
    """Whether the driver's own tool lists a card: then this host's driver suits it."""
    return bool(signals.smi.cards) and not signals.heard("smi-no-devices", "probe-failed")


def _fails(signals: Signals) -> tuple[Evidence, ...]:
    return signals.heard("probe-failed", "smi-no-devices", "smi-cannot-talk")


def _fails_silently(signals: Signals) -> bool:
    """Whether the driver fails and does not itself say why: only then its generation may tell."""
    said = signals.heard("needs-open-module", "open-module-refuses", "legacy-branch", "device-not-supported")
    return bool(_fails(signals)) and not said


def _is_open(signals: Signals) -> tuple[bool | None, tuple[Evidence, ...]]:
    module = signals.kernel.module
    if module and module.is_open is not None:
        return module.is_open, (module.evidence,)
    return signals.modules.licence_open, ()


def _branch(signals: Signals) -> int:
    module = signals.kernel.module
    version = (module.version if module else "") or signals.smi.kernel_version or signals.modules.disk_version
    return int(version.split(".")[0]) if version else 0


@rule("blackwell-requires-open-module")
def needs_open_module(signals: Signals) -> Indication | None:
    """The driver says so; or a generation of the open flavour meets the proprietary one and fails."""
    xids = signals.kernel.xids_of("flavour")
    told = signals.heard("needs-open-module") + tuple(xid.evidence for xid in xids)
    is_open, proof = _is_open(signals)
    cards = tuple(e for a, e in architectures(signals) if a.modules == "open")
    inferred = cards and is_open is False and _fails_silently(signals)
    return seen(told or (cards + proof + _fails(signals) if inferred else ()))


@rule("open-module-unsupported-gpu")
def open_module_unsupported(signals: Signals) -> Indication | None:
    """The driver says so; or an older generation meets the open flavour and fails."""
    is_open, proof = _is_open(signals)
    cards = tuple(e for a, e in architectures(signals) if a.modules == "proprietary")
    inferred = cards and is_open and _fails_silently(signals)
    return seen(signals.heard("open-module-refuses") or (cards + proof + _fails(signals) if inferred else ()))


@rule("gpu-needs-legacy-branch")
def needs_legacy_branch(signals: Signals) -> Indication | None:
    """The driver names the legacy branch; or the generation's last branch is older than the loaded one."""
    told = signals.heard("legacy-branch")
    branch = signals.kernel.legacy_branch
    if told:
        return seen(told, f"the driver names branch {branch}" if branch else "")
    loaded = _branch(signals)
    late = tuple((a, e) for a, e in architectures(signals) if a.last and loaded > a.last)
    if not late or not _fails_silently(signals):
        return None
    return seen(
        tuple(e for _, e in late) + _fails(signals),
        f"{late[0][0].name} ends with {late[0][0].last}, not {loaded}",
    )


@rule("gpu-not-supported-by-driver")
def not_supported(signals: Signals) -> Indication | None:
    """The driver says so; or the generation's first branch is newer than the loaded one."""
    loaded = _branch(signals)
    early = tuple((a, e) for a, e in architectures(signals) if loaded and a.first > loaded)
    if not early or not _fails_silently(signals):
        return seen(signals.heard("device-not-supported"))
    return seen(
        tuple(e for _, e in early) + _fails(signals),
        f"{early[0][0].name} begins with {early[0][0].first}, not {loaded}",
    )


@rule("driver-library-mismatch")
def library_mismatch(signals: Signals) -> Indication | None:
    """NVML or the kernel says so, or the versions of module and libraries differ."""
    told = signals.heard("smi-mismatch", "api-mismatch")
    # A driver that lists its cards fitted its libraries then; these were seen at another time.
    differ = None if driver_works(signals) else versions_differ(signals)
    return Indication(told + differ.evidence, differ.detail) if differ else seen(told)


def versions_differ(signals: Signals) -> Indication | None:
    """Return the loaded module and the installed libraries where none of these is of the module's release."""
    module = signals.kernel.module
    packages = {p.version: p.evidence for p in signals.packages.libraries}
    libraries = [*packages, *signals.packages.library_versions, signals.smi.nvml_version]
    known = [version for version in libraries if version]
    if not module or not known or any(_same(version, module.version) for version in known):
        return None
    return Indication((*packages.values(), module.evidence), f"module {module.version}, libraries {known[0]}")


def _same(one: str, other: str) -> bool:
    # NVML prints two parts of a version that has three: what it leaves out is not a difference.
    mine, theirs = one.split("."), other.split(".")
    shorter = min(len(mine), len(theirs))
    return [int(part) for part in mine[:shorter]] == [int(part) for part in theirs[:shorter]]


@rule("nouveau-bound")
def nouveau_bound(signals: Signals) -> Indication | None:
    """Lspci shows it bound, the kernel says so, or it is loaded and NVIDIA's module is not."""
    held = tuple(device.proof for device in signals.gpus if device.driver == "nouveau")
    if held or any(device.driver for device in signals.gpus):
        return seen(held)
    loaded = None if driver_works(signals) else signals.modules.listed.get("nouveau")
    alone = (loaded,) if loaded and (not signals.modules.is_loaded("nvidia") or _not_called(signals)) else ()
    return seen(signals.heard("nouveau-claimed") + alone)


def _not_called(signals: Signals) -> bool:
    return bool(signals.heard("not-called", "probe-failed", "smi-cannot-talk"))


@rule("driver-not-installed")
def not_installed(signals: Signals) -> Indication | None:
    """A card is on the bus, nothing holds it, and neither nvidia-smi nor any part of a driver is there."""
    parts = signals.packages.libraries or signals.packages.dkms or signals.modules.disk_version
    loaded = signals.kernel.module or signals.modules.is_loaded("nvidia") or signals.smi.cards
    held = any(device.driver or device.gone for device in signals.gpus)
    if parts or loaded or held or not signals.heard("smi-missing"):
        return None
    cards = tuple(device.evidence for device in signals.gpus)
    return seen(cards and (*cards, *signals.heard("smi-missing")))


@rule("gpu-bound-vfio")
def bound_vfio(signals: Signals) -> Indication | None:
    """A GPU is bound to vfio-pci or to another stub for passthrough."""
    stubs = re.compile(r"^(?:vfio-?pci|vfio_pci|pci-?stub|pciback|xen-pciback)$")
    held = tuple(
        device.proof for device in signals.devices if stubs.match(device.driver) and device.kind == "gpu"
    )
    told = signals.heard("vfio-claimed", "vfio-reserved")
    elsewhere = driver_works(signals) or any(device.driver for device in signals.gpus)
    return seen(held or (() if elsewhere else told))


@rule("device-nodes-missing")
def nodes_missing(signals: Signals) -> Indication | None:
    """A node is missing although module or driver are there."""
    missing = signals.heard("nodes-missing")
    loaded = signals.modules.listed.get("nvidia") or (
        signals.kernel.module and signals.kernel.module.evidence
    )
    bound = next((device.proof for device in signals.gpus if device.driver == "nvidia"), None)
    there = loaded or bound or next((card.evidence for card in signals.smi.cards), None)
    return seen((*missing, there)) if missing and there else None


@rule("driver-in-use-cannot-unload")
def in_use(signals: Signals) -> Indication | None:
    """An unload or install was refused because the module is used."""
    return seen(signals.heard("module-in-use"))
