"""A Model's status from what was decided and what is seen: phase, numbers, conditions with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiplat.services.operator.capacity import NVIDIA
from aiplat.services.operator.decide import Decision, Refusal
from aiplat.services.operator.desired import selector_of
from aiplat.services.operator.model_spec import ModelSpec

Document = dict[str, Any]

_NEWS_LENGTH = 600
NO_SANDBOX = "FailedCreatePodSandBox"
"""The reason of the event by which a node says that it could not even begin a pod."""
_NO_RUNTIME = 'no runtime for "nvidia"'


@dataclass(frozen=True)
class Seen:
    """What runs of a Model: its Deployment (None: not there), its pods, and whether the load is known.

    `simulated` are the nodes whose GPUs are made up, `no_sandbox` what nodes said of pods that they could not
    begin, by the pods' uids.
    """

    deployment: Document | None = None
    pods: tuple[Document, ...] = ()
    load_known: bool = True
    simulated: frozenset[str] = frozenset()
    no_sandbox: Mapping[str, str] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """The most telling of what Kubernetes says of pods that do not run, empty where all do."""
        return _problem(self.pods, self.no_sandbox) or _not_made(self.deployment)


@dataclass(frozen=True)
class Counted:
    """How many replicas there should be, are, and are ready in the newest form."""

    wanted: int
    there: int
    ready: int
    settled: bool


def status_of(model_spec: ModelSpec, decision: Decision, seen: Seen, before: Document, now: str) -> Document:
    """Return the status of a Model; conditions keep the time of their last change from `before`."""
    counted = _counted(seen.deployment)
    conditions = list(_conditions(model_spec, decision, seen, counted))
    return {
        "observedGeneration": model_spec.generation,
        "phase": _phase(decision, seen, counted),
        "message": next((c["message"] for c in conditions if c["type"] in _TOLD), ""),
        "name": model_spec.name,
        "engine": "" if isinstance(decision, Refusal) else decision.engine_name,
        "image": "" if isinstance(decision, Refusal) else decision.weights,
        "fit": "" if isinstance(decision, Refusal) else decision.fit,
        "contextLength": 0 if isinstance(decision, Refusal) else decision.context_length,
        "replicas": counted.there,
        "readyReplicas": counted.ready,
        "ready": f"{counted.ready}/{counted.wanted}",
        "selector": ",".join(f"{k}={v}" for k, v in selector_of(model_spec).items()),
        "conditions": [dated(c, before.get("conditions", ()), now) for c in conditions],
    }


def is_settled(status: Document) -> bool:
    """Whether nothing is expected to change by itself soon."""
    return status["phase"] in {"Serving", "Idle", "Refused"}


# The first of these says what people want to know first.
_TOLD = ("Accepted", "Available")


def _counted(deployment: Document | None) -> Counted:
    if deployment is None:
        return Counted(0, 0, 0, settled=False)
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    there, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    ready = status.get("availableReplicas", 0)
    return Counted(wanted, there, ready, settled=seen and updated == there == wanted <= ready)


def _phase(decision: Decision, seen: Seen, counted: Counted) -> str:
    if isinstance(decision, Refusal):
        return "Refused"
    if seen.deployment is None:
        return "Starting"
    if counted.settled:
        return "Serving" if counted.wanted else "Idle"
    if seen.problem:
        return "Failing" if not counted.ready else "Updating"
    return "Updating" if counted.ready else "Starting"


def _conditions(
    model_spec: ModelSpec, decision: Decision, seen: Seen, counted: Counted
) -> Iterable[Document]:
    if isinstance(decision, Refusal):
        yield _condition("Accepted", False, decision.reason, decision.message, model_spec)
        yield _condition("Available", False, "Refused", "nothing runs: the Model was refused", model_spec)
        return
    available = _available(model_spec, seen, counted)
    # What people read first is how it stands; that it was accepted tells nothing once it was.
    yield _condition("Available", *available, model_spec)
    yield _condition(
        "Accepted", True, "Accepted", f"{decision.engine_name} serves {decision.weights}", model_spec
    )
    if decision.adjusted:
        yield _condition("RequestsAdjusted", True, "Computed", decision.adjusted, model_spec)
    if made_up := sorted({p.get("spec", {}).get("nodeName", "") for p in seen.pods} & seen.simulated):
        said = f"GPUs of {', '.join(made_up)} are simulated; what it gets there computes on the processor"
        if any(name.startswith(NVIDIA) for name in decision.resources.limits):
            yield _condition("SimulatedGpu", True, "Simulated", said, model_spec)
    if model_spec.scales:
        yield _condition("Autoscaling", *_autoscaling(model_spec, decision.target, seen), model_spec)


def _autoscaling(model_spec: ModelSpec, target: int, seen: Seen) -> tuple[bool, str, str]:
    if not seen.load_known:
        return False, "LoadUnknown", "no gateway says how many requests there are; the number stays as it is"
    between = f"between {model_spec.minimum} and {model_spec.maximum} replicas"
    return True, "FollowsLoad", f"{between}, one for every {target} requests"


def _available(model_spec: ModelSpec, seen: Seen, counted: Counted) -> tuple[bool, str, str]:
    problem = seen.problem
    if counted.ready and counted.settled:
        serve = "replica serves" if counted.ready == 1 else "replicas serve"
        return True, "Serving", f"{counted.ready} {serve} {model_spec.name!r}"
    if counted.ready:
        return True, "Updating", problem or f"{counted.ready} of {counted.wanted} replicas are ready"
    if seen.deployment is not None and not counted.wanted:
        idle = "the first request wakes it" if model_spec.replicas is None else "`replicas` is 0"
        return False, "Idle", f"no replica runs; {idle}"
    return False, "NotReady", problem or "no replica is ready yet"


def has_no_sandbox(pod: Document) -> bool:
    """Whether a node has the pod and has not begun it: it waits, or the node cannot."""
    status = pod.get("status", {})
    begun = any(
        c["type"] == "PodReadyToStartContainers" and c["status"] == "True"
        for c in status.get("conditions", ())
    )
    return status.get("phase") == "Pending" and bool(pod.get("spec", {}).get("nodeName")) and not begun


def _problem(pods: Iterable[Document], no_sandbox: Mapping[str, str]) -> str:
    """Return the most telling of what Kubernetes says of pods that do not run, empty where all do."""
    for pod in pods:
        told = no_sandbox.get(pod["metadata"].get("uid", ""), "") if has_no_sandbox(pod) else ""
        if said := _killed_for_memory(pod) or _pod_problem(pod.get("status", {})) or _not_begun(told):
            return said[:_NEWS_LENGTH]
    return ""


def _not_begun(told: str) -> str:
    """Return what a node said of a pod that it could not begin, with what to do where that is known."""
    fix = "; its node has no NVIDIA runtime, `aiplat doctor gpu` says why" if _NO_RUNTIME in told else ""
    return told[: _NEWS_LENGTH - len(fix)] + fix


def _not_made(deployment: Document | None) -> str:
    """Return why pods of a Deployment are not even made, as where a quota of the namespace is used up."""
    conditions = deployment.get("status", {}).get("conditions", ()) if deployment else ()
    told = (
        c.get("message", "") for c in conditions if c["type"] == "ReplicaFailure" and c["status"] == "True"
    )
    return next(told, "")[:_NEWS_LENGTH]


def _killed_for_memory(pod: Document) -> str:
    """Return that a container which is not ready now was killed for the memory it took, with its limit."""
    containers = pod.get("spec", {}).get("containers", ())
    limits = {c["name"]: c.get("resources", {}).get("limits", {}).get("memory", "none") for c in containers}
    for container in pod.get("status", {}).get("containerStatuses", ()):
        ended = [container.get(state, {}).get("terminated", {}) for state in ("state", "lastState")]
        if not container.get("ready") and any(one.get("reason") == "OOMKilled" for one in ended):
            limit = limits.get(container.get("name", ""), "none")
            return f"killed for memory, limit {limit}; raise its memory, or lower contextLength or parallel"
    return ""


def _pod_problem(status: Document) -> str:
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
            return ": ".join(str(waiting[k]) for k in ("reason", "message") if waiting.get(k))
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason", "")) or "cannot be scheduled"
    return ""


def _condition(kind: str, is_true: bool, reason: str, message: str, model_spec: ModelSpec) -> Document:
    return {
        "type": kind,
        "status": "True" if is_true else "False",
        "reason": reason,
        "message": message,
        "observedGeneration": model_spec.generation,
    }


def dated(condition: Document, before: Iterable[Document], now: str) -> Document:
    """Return a condition with the time of its last change, which `before` has where nothing changed."""
    old = next((c for c in before if c["type"] == condition["type"]), {})
    same = old.get("status") == condition["status"]
    return {**condition, "lastTransitionTime": old["lastTransitionTime"] if same else now}
