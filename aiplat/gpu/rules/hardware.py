"""Rules about the cards themselves: gone, hung, waiting for a reset, damaged, misused."""

from __future__ import annotations

import re

from aiplat.gpu.facts import Evidence
from aiplat.gpu.rules.rule import Indication, rule, seen
from aiplat.gpu.signals.all import Signals
from aiplat.gpu.signals.kernel import Xid

_ADDRESS = re.compile(r"(?:nvidia|gpu) ([\da-f:]*[\da-f]{2}:[\da-f]{2}\.\d)")
_YES = re.compile(r"^(?:yes|true|[1-9]\d*|.*\b(?:reset|reboot|drain)\b.*)$", re.IGNORECASE)


def _detail(xids: tuple[Xid, ...]) -> str:
    told = dict.fromkeys(f"Xid {xid.number}: {xid.means}" for xid in xids)
    return "; ".join(told)


def _proof(xids: tuple[Xid, ...]) -> tuple[Evidence, ...]:
    return tuple(xid.evidence for xid in xids)


@rule("gpu-fallen-off-bus")
def fallen_off_bus(signals: Signals) -> Indication | None:
    """A statement of the driver, Xid 79, or a card whose configuration space reads as ones."""
    xids = signals.kernel.xids_of("bus")
    gone = tuple(device.evidence for device in signals.devices if device.gone)
    return seen(_proof(xids) + signals.heard("fallen-off") + gone, _detail(xids))


@rule("gpu-lacks-power")
def lacks_power(signals: Signals) -> Indication | None:
    """The driver says that power cables are missing or that the card has too little power."""
    return seen(signals.heard("power-cable", "power-short"))


@rule("pci-bar-unassigned")
def bar_unassigned(signals: Signals) -> Indication | None:
    """The driver or the kernel says so, or lspci shows a GPU's memory as unassigned."""
    without = tuple(device.evidence for device in signals.gpus if device.without_memory)
    addresses = {device.address.lower()[-7:] for device in signals.gpus if device.address}
    addresses |= {match[-7:] for fact in signals.facts for match in _ADDRESS.findall(fact.flow.lower())}
    told = () if signals.smi.cards else signals.heard("no-room-for-bar")
    room = tuple(e for e in told if any(a in e.quote.lower() for a in addresses))
    return seen(signals.heard("bar-missing") + room + without)


@rule("gsp-rpc-timeout")
def gsp_timeout(signals: Signals) -> Indication | None:
    """Xid 119 or 120, or the driver's sentence about the RPC."""
    xids = signals.kernel.xids_of("gsp")
    return seen(_proof(xids) + signals.heard("gsp-timeout"), _detail(xids))


@rule("gsp-init-failed")
def gsp_init(signals: Signals) -> Indication | None:
    """The driver says that it cannot initialise GSP, or the firmware file is missing."""
    return seen(signals.heard("gsp-init"))


@rule("gpu-reset-required")
def reset_required(signals: Signals) -> Indication | None:
    """A pending remap or retirement, a recovery action, an error code, or an Xid that asks for a reset."""
    plugin = {evidence.quote for evidence in signals.heard("marked-unhealthy")}
    xids = tuple(x for x in signals.kernel.xids_of("reset") if not _from_plugin(x, plugin))
    fields = signals.smi.values(
        r"remapp\w* rows?.*(?:pending|failure)|pending page|retired.*pending|"
        r"reset required|reset recommended|recovery action|remapped_rows\.(?:pending|failure)"
    )
    waiting = tuple(field.evidence for field in fields if _YES.match(field.value))
    return seen(waiting + _mode_waits(signals) + signals.heard("reset-needed") + _proof(xids), _detail(xids))


def _mode_waits(signals: Signals) -> tuple[Evidence, ...]:
    """Return the modes (MIG, ECC) that were changed and wait for a reset to become so."""
    now = {
        field.path.replace("Current", ""): field
        for field in signals.smi.values(r"(?:MIG|ECC) mode > current$")
    }
    then = {
        field.path.replace("Pending", ""): field
        for field in signals.smi.values(r"(?:MIG|ECC) mode > pending$")
    }
    return tuple(then[path].evidence for path in then if path in now and then[path].value != now[path].value)


def _from_plugin(xid: Xid, quotes: set[str]) -> bool:
    # The device plugin repeats Xids; what the card needs is only known from the driver.
    return any("xid" in quote.lower() and str(xid.number) in quote for quote in quotes) and not xid.address


@rule("inforom-corrupted")
def inforom(signals: Signals) -> Indication | None:
    """nvidia-smi warns of it."""
    xids = signals.kernel.xids_of("inforom")
    return seen(signals.heard("smi-infoROM") + _proof(xids), _detail(xids))


@rule("xid-application-error")
def application_error(signals: Signals) -> Indication | None:
    """Xids of programs in the kernel's log."""
    by_plugin = bool(signals.heard("marked-unhealthy"))
    xids = tuple(x for x in signals.kernel.xids_of("application") if x.address or not by_plugin)
    return seen(_proof(xids), _detail(xids))
