"""The `upstream` supply: fetches artifacts from their projects' releases; for now only an interface."""

from __future__ import annotations

from collections.abc import Iterable

from aiplat.catalog.artifacts import Artifact
from aiplat.errors import BadInput, Finding
from aiplat.supply.contract import Aged, Progress, Supplied

_NOT_YET = Finding(
    "supply",
    "upstream is not yet in this version",
    "use `packages` for a lab, or `bundle:PATH` with a ready bundle",
)


class UpstreamSupply:
    """Release files, container images, charts and model files, pinned by digest."""

    name = "upstream"

    def check(self, artifacts: Iterable[Artifact]) -> None:  # noqa: ARG002 - the Protocol's
        """Refuse.

        Raises:
            BadInput: always, in this version.
        """
        raise BadInput(_NOT_YET)

    def supply(self, artifact: Artifact, on_progress: Progress) -> Supplied:  # noqa: ARG002 - the Protocol's
        """Refuse.

        Raises:
            BadInput: always, in this version.
        """
        raise BadInput(_NOT_YET)

    def discard(self, artifact: Artifact) -> None:
        """Do nothing: nothing was ever fetched."""

    def refresh(self, artifacts: Iterable[Artifact]) -> list[Aged]:  # noqa: ARG002 - the Protocol's
        """Do nothing: nothing was ever fetched."""
        return []

    def stop(self) -> None:
        """Do nothing: nothing is ever under way."""
