"""In which namespace, and under which labels, the pods are that write a component's log; reads none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiplat.catalog.components import Component

ENGINES = "aiplat-model"
_ENGINE = "aiplat.dev/engine"
_INSTANCE = "app.kubernetes.io/instance"


@dataclass(frozen=True)
class LogPlace:
    """A namespace and a selector of labels."""

    namespace: str
    selector: str


def log_place(component: Component, on: Sequence[Component]) -> LogPlace | None:
    """Return where a component's pods are; None where it has none. `on` are the site's components."""
    if component.engine:
        return LogPlace(ENGINES, f"{_ENGINE}={component.name}")
    if not component.namespace:
        return None
    alone = not any(c.namespace == component.namespace and c is not component for c in on)
    # Charts of others label their pods as they like; where nobody else lives, all of them are meant. Pods
    # that the operator makes carry its name as well; theirs is the engine's log.
    named = () if alone else (f"{_INSTANCE}={component.name}",)
    return LogPlace(component.namespace, ",".join((*named, f"!{_ENGINE}")))
