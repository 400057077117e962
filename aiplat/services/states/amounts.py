"""Resources of nodes, containers and quotas as kube-state-metrics calls them, with units."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from aiplat.cluster.quantity import amount
from aiplat.services.states.series import Sample

_UNITS = {"cpu": "core", "memory": "byte", "storage": "byte", "ephemeral_storage": "byte"}
_NOT_A_WORD = re.compile(r"[^a-zA-Z0-9_]")


def amounts(name: str, labels: Mapping[str, str], quantities: Mapping[str, object]) -> Iterator[Sample]:
    """Yield a sample for each resource: cores, bytes, or a number of things.

    Raises:
        ValueError: something is not a quantity.
    """
    for resource, quantity in quantities.items():
        called = _NOT_A_WORD.sub("_", resource)
        unit = "byte" if called.startswith("hugepages_") else _UNITS.get(called, "integer")
        yield Sample(name, {**labels, "resource": called, "unit": unit}, float(amount(str(quantity))))
