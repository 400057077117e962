"""aiplat's own runtime under the `upstream` supply: the same wheels, by the way that the site's file says."""

from __future__ import annotations

from pathlib import Path

from aiplat.catalog.artifacts import Digest
from aiplat.catalog.inputs import source_path
from aiplat.content import digest_of, sha256_file
from aiplat.errors import AiplatError, Finding
from aiplat.supply.contract import Made
from aiplat.supply.pypi import IndexFile, index_address
from aiplat.supply.runtime import RuntimeMaker
from aiplat.supply.upstream.fetcher import FetchOrder, Pin


class RuntimeWheels:
    """Wheels of a package index, each by the hash of a lock that comes with aiplat."""

    def pin(self, order: FetchOrder) -> Pin:
        """Say which wheels of those that the lock names the index has, and how much is to come."""
        maker = _maker(order)
        files = maker.wanted()
        return Pin(_digest(maker, files), index_address(), sum(file.size for file in files))

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Fetch the wheels that were pinned and add aiplat's own.

        Raises:
            AiplatError: the index has other wheels now, of the same packages and versions.
        """
        maker = _maker(order)
        files = maker.wanted()
        if _digest(maker, files) != pin.digest:
            problem = "has other wheels of aiplat's runtime than when it was pinned"
            raise AiplatError(
                Finding(index_address(), problem, "take what it has now: aiplat lock --update runtime")
            )
        return maker.store(folder, files)


def _digest(maker: RuntimeMaker, files: list[IndexFile]) -> Digest:
    """Return what tells one set of wheels from another: the lock, and those of it that an index has."""
    lock = sha256_file(source_path(maker.runtime.requirements))
    return digest_of([lock, sorted(file.digest for file in files)])


def _maker(order: FetchOrder) -> RuntimeMaker:
    if order.recipe.runtime is None:
        raise TypeError("not a recipe of a runtime")
    return RuntimeMaker(order.recipe.runtime, order.http, order.work, order.phase)
