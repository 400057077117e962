"""What is known of a host's cards and driver, typed; reading texts is signals', deciding is decision's."""

from __future__ import annotations

import re
from typing import Literal

from aiplat.frozen import Frozen
from aiplat.gpu.knowledge import GpuGeneration, by_device_id, by_name, owners
from aiplat.gpu.rules.driver import driver_works
from aiplat.gpu.rules.fabric import has_switches
from aiplat.gpu.signals.all import Signals
from aiplat.site.systems import system_name

Flavour = Literal["open", "proprietary"]
Owner = Literal["host", "user", "windows", "container", "jetson", "image"]

_SAID = re.compile(
    r"The NVIDIA (?:NVIDIA )?(.{3,60}?) GPU installed in this system|PCI ID: 10de:([0-9a-f]{4})"
)
_OS_FIELD = re.compile(r"^(ID|VERSION_ID)=\"?([^\"\n]*)\"?$", re.MULTILINE)
_VERSION = re.compile(r"\d{2,3}\.\d+(?:\.\d+)?")


class GpuCard(Frozen):
    """A card: what it is called, its number on the bus (`2330`), and its generation where that is known."""

    name: str = ""
    device: str = ""

    @property
    def generation(self) -> GpuGeneration | None:
        """The generation, by the number first: names are reused."""
        return (by_device_id(self.device) if self.device else None) or by_name(self.name)


class GpuHost(Frozen):
    """One host as far as it was seen; empty or None is what nobody saw.

    `owner` says who provides the driver: the host itself, or what it runs in or was made from. `simulated`
    is a lab host whose card is made up.
    """

    system: str = ""
    kernel: str = ""
    owner: Owner = "host"
    cards: tuple[GpuCard, ...] = ()
    switches: bool = False
    driver: str = ""
    modules: Flavour | None = None
    works: bool = False
    nouveau: bool = False
    secure_boot: bool | None = None
    key_enrolled: bool | None = None
    headers: bool | None = None
    toolkit: bool | None = None
    simulated: bool = False

    @property
    def branch(self) -> int:
        """The branch of the driver that is there; 0 where there is none."""
        return int(self.driver.split(".")[0]) if self.driver else 0


class GpuSeen(Frozen):
    """What was seen of a host's cards: the verdict of `aiplat doctor gpu`, its cause, and the typed host."""

    verdict: str
    cause: str
    host: GpuHost = GpuHost()


def host_of(signals: Signals) -> GpuHost:
    """Return what a host's facts say of it."""
    system, kernel = _system(signals), signals.kernel.release
    return GpuHost(
        system=system,
        kernel=kernel,
        owner=owner_of(system, kernel, _names(signals), container=bool(signals.heard("inside-container"))),
        cards=_cards(signals),
        switches=bool(has_switches(signals)),
        driver=_driver(signals),
        modules=_modules(signals),
        works=driver_works(signals),
        nouveau=_nouveau(signals),
        secure_boot=_either(signals, "secure-boot-on", "secure-boot-off"),
        key_enrolled=_either(signals, "key-enrolled", "key-not-enrolled"),
        headers=_headers(signals),
        toolkit=_either(signals, "runtime-there", "runtime-missing"),
        simulated=bool(signals.heard("simulated-card")),
    )


def owner_of(system: str, kernel: str, names: str, *, container: bool = False) -> Owner:
    """Return who provides the driver of a host, by its system, kernel, cards' names and what it runs in."""
    for owner, patterns in owners().items():
        seen = {"system": system, "kernel": kernel, "names": names}
        if any(pattern.search(seen[what]) for what, pattern in patterns.items()):
            return owner  # type: ignore[return-value] # the file's owners are tested to be those above
    return "container" if container else "host"


def _system(signals: Signals) -> str:
    texts = [fact.text for fact in signals.facts if "os-release" in fact.command]
    fields = dict(_OS_FIELD.findall("\n".join(texts)))
    return system_name(fields.get("ID", ""), fields.get("VERSION_ID", ""))


def _names(signals: Signals) -> str:
    boards = "\n".join(fact.flow for fact in signals.facts if "device-tree/model" in fact.command)
    return "\n".join([signals.smi.names, boards])


def _cards(signals: Signals) -> tuple[GpuCard, ...]:
    """Return the cards on the bus; else those that the driver lists, else those that its messages name."""
    on_bus = tuple(_on_bus(device.name) for device in signals.gpus if device.name)
    listed = tuple(GpuCard(name=card.name) for card in signals.smi.cards)
    told = (match for fact in signals.facts for match in _SAID.finditer(fact.flow))
    named = tuple(dict.fromkeys(GpuCard(name=match[1] or "", device=match[2] or "") for match in told))
    known = [cards for cards in (on_bus, listed, named) if any(card.generation for card in cards)]
    return known[0] if known else on_bus or listed or named


def _on_bus(name: str) -> GpuCard:
    number = re.search(r"10de:([0-9a-f]{4})", name, re.IGNORECASE)
    marked = re.findall(r"\[([^\]]+)\]", name.replace(f"[{number[0]}]", "") if number else name)
    return GpuCard(name=marked[-1] if marked else "", device=number[1].lower() if number else "")


def _driver(signals: Signals) -> str:
    module = signals.kernel.module
    libraries = [package.version for package in signals.packages.libraries]
    found = (
        module.version if module else "",
        signals.smi.kernel_version,
        signals.modules.disk_version,
        *libraries,
        *(entry.version for entry in signals.packages.dkms),
    )
    return next((version for version in found if _VERSION.match(version)), "")


def _modules(signals: Signals) -> Flavour | None:
    module = signals.kernel.module
    is_open = module.is_open if module and module.is_open is not None else signals.modules.licence_open
    return None if is_open is None else "open" if is_open else "proprietary"


def _headers(signals: Signals) -> bool | None:
    if signals.heard("headers-missing"):
        return False  # a build said so, which knows better than a folder
    return _either(signals, "headers-there", "headers-not-there")


def _nouveau(signals: Signals) -> bool:
    return signals.modules.is_loaded("nouveau") or any(d.driver == "nouveau" for d in signals.gpus)


def _either(signals: Signals, yes: str, no: str) -> bool | None:
    if signals.heard(no):
        return False
    return True if signals.heard(yes) else None
