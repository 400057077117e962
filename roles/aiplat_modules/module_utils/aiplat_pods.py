"""Why pods of a namespace do not run, in sentences, from their states and the events about them."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, kubectl

SHOWN = 5
LENGTH = 300
# What a container waits for in the normal course of its start; the reason is in the events then.
ORDINARY = {"ContainerCreating", "PodInitializing", ""}


def pod_troubles(namespace: str) -> str:
    """Return what keeps the pods of a namespace from running; nothing where all run or nobody answers."""
    try:
        pods = [pod for pod in listed("pods", namespace) if not is_ready(pod)]
        events = listed("events", namespace) if pods else []
    except (HostProblem, OSError, ValueError):
        return ""
    sentences = [s for pod in pods for s in (*states(pod), *recorded(pod, events))]
    return "; ".join(sentence[:LENGTH] for sentence in list(dict.fromkeys(sentences))[:SHOWN])


def listed(kind: str, namespace: str) -> list[dict[str, Any]]:
    """Return the objects of a kind in a namespace."""
    found: list[dict[str, Any]] = json.loads(kubectl("get", kind, "-n", namespace, "-o", "json"))["items"]
    return found


def is_ready(pod: dict[str, Any]) -> bool:
    """Say whether a pod serves or has done its work."""
    status = pod.get("status", {})
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    return status.get("phase") == "Succeeded" or conditions.get("Ready") == "True"


def states(pod: dict[str, Any]) -> list[str]:
    """Return what a pod's own status says: not scheduled, waiting with a reason, ended."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    said = [
        f"{name}: not scheduled: {c.get('message', c.get('reason', ''))}"
        for c in status.get("conditions", ())
        if c["type"] == "PodScheduled" and c["status"] == "False"
    ]
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason", "") not in ORDINARY:
            said.append(f"{name}: {waiting['reason']} {waiting.get('message', '')}".strip())
        ended = container.get("lastState", {}).get("terminated", {})
        if ended.get("reason"):
            said.append(f"{name}: {container['name']} ended, {ended['reason']} {ended.get('exitCode', '')}")
    return said


def recorded(pod: dict[str, Any], events: list[dict[str, Any]]) -> list[str]:
    """Return the newest warning of each kind about a pod, the last one first."""
    name = pod["metadata"]["name"]
    mine = [
        e for e in events if e.get("type") == "Warning" and e.get("involvedObject", {}).get("name") == name
    ]
    newest = sorted(mine, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "", reverse=True)
    by_kind = {event.get("reason"): event for event in reversed(newest)}
    return [f"{name}: {reason}: {' '.join(e.get('message', '').split())}" for reason, e in by_kind.items()]
