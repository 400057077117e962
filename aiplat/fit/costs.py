"""What machines cost that serve models: to buy, to power, and for a million tokens; judges no fit."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.errors import BadInput, Finding
from aiplat.fit.devices import find_device
from aiplat.fit.knowledge import knowledge
from aiplat.site.models import CostSettings, Host

HOURS_A_YEAR = 8760


@dataclass(frozen=True)
class Price:
    """One number that the comparison rests on, with where it is from."""

    name: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class MachineCost:
    """One machine of a layout, bought and powered."""

    host: str
    gpus: tuple[str, ...]
    cpu: str
    memory_gib: int
    eur: float
    idle_w: float
    load_w: float


@dataclass(frozen=True)
class Use:
    """A layout at one share of use over a year."""

    share: float
    mtok_a_year: float
    kwh_a_year: float
    kwh_per_mtok: float
    eur_per_mtok: float


class Prices:
    """A site's prices: its own where it says them, else the defaults."""

    def __init__(self, costs: CostSettings) -> None:
        self.costs = costs
        self.used: dict[str, Price] = {}

    def value(self, name: str) -> float:
        """Return a price or rate by name, and note that it was used."""
        said = getattr(self.costs, name, None)
        entry = knowledge("costs")[name]
        source = "the site file" if said else f"{entry['source']}, {entry['date']}"
        return self._note(name, float(said or entry["value"]), str(entry["unit"]), source)

    def gpu(self, name: str) -> float:
        """Return the EUR of one GPU.

        Raises:
            BadInput: its name or its price is not known.
        """
        if name in self.costs.gpus:
            return self._note(name, self.costs.gpus[name], "EUR", "the site file")
        device = find_device(name)
        if device is None:
            raise BadInput(Finding(f"hardware.gpus: {name}", "is not known", "name it as its maker does"))
        if device.price_usd is None:
            raise BadInput(Finding(f"costs.gpus: {name}", "has no known price", f"add `{name}: EUR` there"))
        eur = device.price_usd / self.value("usd_per_eur")
        return self._note(name, eur, "EUR", f"{device.price_usd:g} USD, {device.price_source}")

    def _note(self, name: str, value: float, unit: str, source: str) -> float:
        self.used[name] = Price(name, value, unit, source)
        return value


def machine(host: Host, gpus: tuple[str, ...], prices: Prices) -> MachineCost:
    """Return what a host costs and draws with these GPUs in it."""
    limits = [device.tdp_w if (device := find_device(name)) else 0.0 for name in gpus]
    at_rest, at_work = prices.value("machine_idle"), prices.value("machine_load")
    return MachineCost(
        host.name,
        gpus,
        host.hardware.cpu,
        host.hardware.memory_gib,
        prices.value("machine") + sum(prices.gpu(name) for name in gpus),
        at_rest + sum(limits) * prices.value("gpu_idle_share"),
        # While cards generate, the processor waits for them.
        at_rest + sum(limits) * prices.value("gpu_load_share") if gpus else at_work,
    )


def use(machines: list[MachineCost], tok_s: float, share: float, prices: Prices) -> Use:
    """Return what a layout that makes `tok_s` tokens a second costs at this share of use."""
    mtok = tok_s * share * HOURS_A_YEAR * 3600 / 1e6
    watts = sum(m.idle_w + share * (m.load_w - m.idle_w) for m in machines)
    kwh = watts * HOURS_A_YEAR / 1000
    eur = sum(m.eur for m in machines) / prices.value("years") + kwh * prices.value("electricity")
    return Use(share, mtok, kwh, kwh / mtok, eur / mtok)
