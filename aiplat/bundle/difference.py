"""What a new bundle has that an earlier one has not, by component and layer; carrying it is parts'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiplat import API_VERSION
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.document import DOCUMENT
from aiplat.catalog.artifacts import Artifact, Digest
from aiplat.frozen import Frozen

STATES = ("new", "changed", "gone", "same")


class Differing(Frozen):
    """One artifact in both bundles; `carry` are the bytes of its `layers` that the base has not.

    What two artifacts share is counted with the first of them. `layers` are its blobs but for the manifest.
    """

    component: str
    artifact: str
    state: str
    before: str = ""
    after: str = ""
    size: int = 0
    layers: int = 0
    layers_new: int = 0
    carry: int = 0


@dataclass(frozen=True)
class Difference:
    """Everything that differs; `carry` are the bytes that go on a medium, bundle.json and cards included."""

    base: Bundle
    new: Bundle
    rows: tuple[Differing, ...]
    carry: int

    def by_component(self) -> dict[str, int]:
        """Return the bytes to carry by component, most first."""
        found: dict[str, int] = {}
        for row in self.rows:
            found[row.component] = found.get(row.component, 0) + row.carry
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "apiVersion": API_VERSION,
            "kind": "BundleDifference",
            "base": str(self.base.path),
            "new": str(self.new.path),
            "size": self.new.document.size,
            "carry": self.carry,
            "components": self.by_component(),
            "artifacts": [row.model_dump(mode="json") for row in self.rows],
        }


def difference(base: Bundle, new: Bundle) -> Difference:
    """Return what differs between two bundles; nothing is hashed."""
    there = {file.sha256 for file in base.document.files.values()}
    rows = (*_rows(base, new, there), *_gone(base, new))
    order = {state: index for index, state in enumerate(STATES)}
    carried = {f.sha256: f.size for f in new.document.files.values() if f.sha256 not in there}
    carry = sum(carried.values()) + (new.path / DOCUMENT).stat().st_size
    return Difference(base, new, tuple(sorted(rows, key=lambda row: (order[row.state], -row.carry))), carry)


def _rows(base: Bundle, new: Bundle, there: set[Digest]) -> Iterator[Differing]:
    earlier = {_key(artifact): artifact for artifact in base.lock.artifacts}
    counted = set(there)
    for artifact in new.lock.artifacts:
        before = earlier.get(_key(artifact))
        layers = [blob for blob in artifact.blobs if blob.digest != artifact.digest]
        carry = sum(blob.size for blob in artifact.blobs if blob.digest not in counted)
        counted |= {blob.digest for blob in artifact.blobs}
        same = before is not None and before.digest == artifact.digest
        yield Differing(
            component=artifact.component,
            artifact=artifact.label,
            state="same" if same else "changed" if before else "new",
            before=before.version if before else "",
            after=artifact.version,
            size=artifact.size,
            layers=len(layers),
            layers_new=sum(layer.digest not in there for layer in layers),
            carry=carry,
        )


def _gone(base: Bundle, new: Bundle) -> Iterator[Differing]:
    kept = {_key(artifact) for artifact in new.lock.artifacts}
    for artifact in base.lock.artifacts:
        if _key(artifact) not in kept:
            yield Differing(
                component=artifact.component, artifact=artifact.label, state="gone", before=artifact.version
            )


def _key(artifact: Artifact) -> tuple[str, ...]:
    # A registry's repository holds models by their tags; of everything else there is one version.
    tag = artifact.version if artifact.kind == "model" else ""
    return (artifact.label, artifact.when, tag)
