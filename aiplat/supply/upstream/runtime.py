"""aiplat's own runtime under the `upstream` supply: the same wheels, by the way that the site's file says."""

from __future__ import annotations

from pathlib import Path

from aiplat.catalog.inputs import source_path
from aiplat.content import sha256_file
from aiplat.supply.contract import Made
from aiplat.supply.pypi import index_address
from aiplat.supply.runtime import RuntimeMaker
from aiplat.supply.upstream.fetcher import FetchOrder, Pin


class RuntimeWheels:
    """Wheels of a package index, each by the hash of a lock that comes with aiplat."""

    def pin(self, order: FetchOrder) -> Pin:
        """Say what the lock names, and how much of it is to come."""
        maker = _maker(order)
        lock = sha256_file(source_path(maker.runtime.requirements))
        return Pin(lock, index_address(), sum(file.size for file in maker.wanted()))

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:  # noqa: ARG002 - the lock has the hashes
        """Fetch the wheels and add aiplat's own."""
        return _maker(order).store(folder)


def _maker(order: FetchOrder) -> RuntimeMaker:
    if order.recipe.runtime is None:
        raise TypeError("not a recipe of a runtime")
    return RuntimeMaker(order.recipe.runtime, order.http, order.work, order.phase)
