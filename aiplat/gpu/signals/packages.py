"""What package managers and DKMS list: installed versions, builds, compilers; not what is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiplat.gpu.facts import Evidence, Fact
from aiplat.gpu.signals.smi import VERSION

_DKMS = re.compile(
    r"^\s*(nvidia[\w.-]*)[/,] ?([\w.:~-]+?)(?:, (\d[\w.+~-]*), (\w+))?: "
    r"(added|built|installed|broken|failed)\b(.*)",
    re.MULTILINE,
)
_INSTALLED = re.compile(
    rf"^(?:ii|hi)\s+([\w.+-]*(?:nvidia|cuda-drivers)[\w.+-]*)(?::\w+)?\s+(?:\d+:)?{VERSION}\S*", re.MULTILINE
)
_RPM = re.compile(
    rf"^((?:nvidia|kmod-nvidia|libnvidia|xorg-x11-drv-nvidia)[\w-]*?)-(?:\d+:)?{VERSION}-", re.MULTILINE
)
_BUILT_BY = re.compile(r"kernel was built by:?\s*(.*?)(?=you are using|$)", re.IGNORECASE)
_USING = re.compile(r"you are using:?\s*(.{0,120})", re.IGNORECASE)
_COMPILER = re.compile(r"\b(gcc|clang)\b|\bcc\b", re.IGNORECASE)
_MAJOR = re.compile(r"(?<![\d.~])(\d{1,2})\.\d+\.\d+")
_ELF = re.compile(rf"lib(?:nvidia-ml|cuda)\.so\.{VERSION}")
_FM_VERSION = re.compile(rf"fabric ?manager version(?: is)?\s*:?\s*{VERSION}", re.IGNORECASE)


@dataclass(frozen=True)
class DkmsEntry:
    """A line of `dkms status`; kernel is empty where the module was only added."""

    version: str
    kernel: str
    state: str
    evidence: Evidence


@dataclass(frozen=True)
class DriverPackage:
    """An installed package with the driver version in its version."""

    name: str
    version: str
    evidence: Evidence


@dataclass(frozen=True)
class Packages:
    """Installed NVIDIA packages, DKMS states, and the compilers a build speaks of (major versions)."""

    installed: tuple[DriverPackage, ...]
    dkms: tuple[DkmsEntry, ...]
    kernel_compiler: str
    used_compiler: str
    library_versions: tuple[str, ...]
    fabric_manager: str

    @property
    def libraries(self) -> tuple[DriverPackage, ...]:
        """Return the packages of the driver's user space."""
        pattern = r"nvidia-(?:smi|utils|compute|driver-(?:cuda|libs))|libnvidia-(?:ml|compute)"
        return tuple(package for package in self.installed if re.match(pattern, package.name))


def read_packages(facts: Iterable[Fact]) -> Packages:
    """Return what package managers and builds report."""
    known = tuple(facts)
    flow = " ".join(fact.flow for fact in known)
    fabric = _FM_VERSION.search(flow)
    installed = tuple(package for fact in known for package in _installed(fact))
    fm_package = next(
        (p.version for p in installed if "fabricmanager" in p.name or "fabric-manager" in p.name), ""
    )
    return Packages(
        installed=installed,
        dkms=tuple(entry for fact in known for entry in _dkms(fact)),
        kernel_compiler=_compiler(_BUILT_BY.search(flow)),
        used_compiler=_compiler(_USING.search(flow)),
        library_versions=tuple(dict.fromkeys(_ELF.findall(flow))),
        fabric_manager=fabric[1] if fabric else fm_package,
    )


def _installed(fact: Fact) -> list[DriverPackage]:
    text = "\n".join(fact.lines)
    matches = [*_INSTALLED.finditer(text), *_RPM.finditer(text)]
    return [DriverPackage(match[1], match[2], fact.evidence(match[0])) for match in matches]


def _dkms(fact: Fact) -> list[DkmsEntry]:
    text = "\n".join(fact.lines)
    return [
        DkmsEntry(m[2], m[3] or "", f"{m[5]}{m[6]}".strip(), fact.evidence(m[0]))
        for m in _DKMS.finditer(text)
    ]


def _compiler(match: re.Match[str] | None) -> str:
    """Return for example `gcc 12`: two builds of the same major version understand the same options."""
    if not match:
        return ""
    name = "clang" if "clang" in match[1].lower() else "gcc" if _COMPILER.search(match[1]) else ""
    numbers = _MAJOR.findall(match[1])
    return f"{name} {numbers[-1]}" if name and numbers else ""
