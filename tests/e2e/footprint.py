"""What components take on a host: memory and start time of their pods, as a page of docs/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiplat.catalog.catalog import load_catalog

Asked = Callable[[str], str]
"""Runs a command on a host and returns what it printed."""
ENGINES = frozenset(component.name for component in load_catalog().engines)


@dataclass(frozen=True)
class Size:
    """One component's pods: bytes of memory they hold, and seconds until the last of them was ready."""

    component: str
    default: bool
    pods: int
    memory: int
    seconds: float


def sizes(on_host: Asked, node: str) -> list[Size]:
    """Return what each component's pods take on a node, as its kubelet measures it, the largest first."""
    stats = json.loads(on_host(f"k3s kubectl get --raw /api/v1/nodes/{node}/proxy/stats/summary"))
    pods = json.loads(on_host("k3s kubectl get pods -A -o json"))["items"]
    held = {
        (p["podRef"]["namespace"], p["podRef"]["name"]): int(p["memory"]["workingSetBytes"])
        for p in stats["pods"]
        if "workingSetBytes" in p.get("memory", {})
    }
    found: dict[str, list[Mapping[str, Any]]] = {}
    for pod in pods:
        found.setdefault(_component(pod), []).append(pod)
    return sorted((_size(name, of, held) for name, of in found.items()), key=lambda s: -s.memory)


def _component(pod: Mapping[str, Any]) -> str:
    labels = pod["metadata"].get("labels", {})
    if pod["metadata"]["namespace"] == "kube-system":
        return "Kubernetes' own pods"
    # The operator makes the pods of engines, and names the engine in them.
    return str(labels.get("aiplat.dev/engine") or labels.get("app.kubernetes.io/instance") or "others")


def _size(name: str, pods: Sequence[Mapping[str, Any]], held: Mapping[tuple[str, str], int]) -> Size:
    component = load_catalog().component(name)
    keys = [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods]
    return Size(
        component=name,
        default=component is None or component.default == "on",
        pods=len(pods),
        memory=sum(held.get(key, 0) for key in keys),
        seconds=max(_seconds(pod) for pod in pods),
    )


def _seconds(pod: Mapping[str, Any]) -> float:
    ready = [c for c in pod["status"].get("conditions", ()) if (c["type"], c["status"]) == ("Ready", "True")]
    if not ready:
        return 0.0
    made = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return (datetime.fromisoformat(ready[0]["lastTransitionTime"]) - made).total_seconds()


def beside_kubernetes(found: Sequence[Size]) -> int:
    """Return the bytes of the default site's components without Kubernetes and engines with their models."""
    return sum(s.memory for s in found if s.default and not _not_counted(s.component))


def _not_counted(component: str) -> bool:
    return component in ENGINES or component == "Kubernetes' own pods"


def page(found: Sequence[Size], machine: str) -> str:
    """Return the page with the figures of one run."""
    return "\n".join([*_head(found, machine), *_rows(found), ""])


_HEAD = """\
# What components take

`make journey NAME=footprint` wrote this page on {day}: one host of our lab, {machine}, with nothing asked
of it yet. Memory is the working set that the kubelet measures (pages that cannot be taken back at once).
The time is from a pod's creation until it was ready, in a first bootstrap that started everything at once:
images unpacked, databases made, other pods waited for. Under load components take more; their READMEs say
what was seen.

The default site's components take **{total} MB** beside Kubernetes and the engines with their models.

| component | by default | pods | memory (MB) | ready after (s) |
|---|---|---|---|---|"""


def _head(found: Sequence[Size], machine: str) -> Iterator[str]:
    total = beside_kubernetes(found) >> 20
    yield _HEAD.format(day=f"{datetime.now(UTC):%Y-%m-%d}", machine=machine, total=total)


def _rows(found: Sequence[Size]) -> Iterator[str]:
    for size in found:
        default = "yes" if size.default else "on request"
        yield f"| {size.component} | {default} | {size.pods} | {size.memory >> 20} | {size.seconds:.0f} |"
