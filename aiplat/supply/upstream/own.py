"""Models of a site's own among what comes from upstream: pinned by their files, and never asked for."""

from __future__ import annotations

from pathlib import Path

from aiplat.catalog.artifacts import OwnModel
from aiplat.catalog.recipes import OwnFiles
from aiplat.supply.contract import Made
from aiplat.supply.own import OwnOrder, make_own
from aiplat.supply.upstream.fetcher import FetchOrder, Pin


class OwnModels:
    """Files that the site has itself."""

    def pin(self, order: FetchOrder) -> Pin:
        """Return what the lock says of the files already."""
        files, own = _own(order)
        return Pin(digest=own.digest, source=str(files.source), size=own.size)

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Put the files that were pinned into an image in the form the engine mounts.

        Raises:
            AiplatError: they are others by now, ask for code to be run, or the engine refuses them.
        """
        files, _ = _own(order)
        platforms = pin.platforms or order.platforms
        return make_own(
            OwnOrder(
                order.artifact,
                order.component,
                files,
                folder,
                order.work,
                order.phase,
                order.other,
                platforms,
            )
        )


def _own(order: FetchOrder) -> tuple[OwnFiles, OwnModel]:
    files, own = order.recipe.own, order.artifact.own
    assert files is not None  # noqa: S101 - the supply asks by the recipe's kind
    assert own is not None  # noqa: S101 - such artifacts have it
    return files, own
