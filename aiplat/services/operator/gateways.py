"""Finds the gateways' pods, whose counts of requests tell the load of every model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiplat.services.operator.load import Fetch, loads
from aiplat.services.operator.reconcile import Objects
from aiplat.services.operator.scaling import Load

_SELECTOR = "app.kubernetes.io/name=gateway"


def loads_of(objects: Objects, namespace: str, fetch: Fetch) -> Callable[[], dict[str, Load]]:
    """Return a function that asks every gateway that serves, raising AiplatError where none can be found."""

    def ask() -> dict[str, Load]:
        pods = objects.listed("Pod", namespace, _SELECTOR)
        return loads([a for pod in pods if (a := _serving_address(pod))], fetch)

    return ask


def _serving_address(pod: dict[str, Any]) -> str:
    status = pod.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
    return str(status.get("podIP", "")) if ready else ""
