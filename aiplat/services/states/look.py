"""Looks at the cluster again and again, and has what was seen as one text for Prometheus."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from aiplat.cluster.raw import RawObjects
from aiplat.errors import AiplatError
from aiplat.services.bounds import STATE_OBJECTS, STATE_SERIES
from aiplat.services.states import jobs, nodes, pods, volumes, workloads
from aiplat.services.states.series import Document, Family, Sample, families

log = logging.getLogger("aiplat.states")

# What there are few of comes first: the rest is left out where there is too much.
KINDS: Mapping[str, tuple[str, Callable[[Document], Iterator[Sample]]]] = {
    "nodes": ("Node", nodes.node),
    "namespaces": ("Namespace", nodes.namespace),
    "resourcequotas": ("ResourceQuota", nodes.quota),
    "persistentvolumes": ("PersistentVolume", volumes.volume),
    "persistentvolumeclaims": ("PersistentVolumeClaim", volumes.claim),
    "deployments": ("Deployment", workloads.deployment),
    "statefulsets": ("StatefulSet", workloads.stateful_set),
    "daemonsets": ("DaemonSet", workloads.daemon_set),
    "cronjobs": ("CronJob", jobs.cron_job),
    "jobs": ("Job", jobs.job),
    "pods": ("Pod", pods.pod),
}
_LONGEST_LOOK_SECONDS = 300.0


# What a document makes of whoever reads it where it is not as its kind should be.
_ODD = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError)


@dataclass
class Lacks:
    """Objects that have no series, by resource: for want of room, or because they could not be read."""

    left_out: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


@dataclass
class StatesSeen:
    """The last look: its text, when it was begun, and how often each kind was listed with which result."""

    text: bytes = b""
    begun: float = field(default_factory=time.monotonic)
    lists: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def alive(self) -> bool:
        """Whether there was a look, and one was begun lately."""
        return bool(self.text) and time.monotonic() - self.begun < _LONGEST_LOOK_SECONDS


def look(objects: RawObjects, resources: Iterable[str], seen: StatesSeen) -> None:
    """Look at the resources once. One that cannot be listed has no series: old states are worse than none."""
    seen.begun = time.monotonic()
    samples: list[Sample] = []
    lacks = Lacks()
    for resource in resources:
        try:
            found = list(_of(objects, resource, STATE_SERIES - len(samples), lacks))
            seen.lists[resource, "success"] += 1
        except (AiplatError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read: %s: %s", resource, type(error).__name__, error)
            seen.lists[resource, "error"] += 1
            continue
        samples += found
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(samples, seen.lists, lacks))
    seen.text = generate_latest(registry)


def _of(objects: RawObjects, resource: str, room: int, lacks: Lacks) -> Iterator[Sample]:
    kind, samples_of = KINDS[resource]
    lacks.left_out[resource] = lacks.errors[resource] = 0
    for document in objects.each(kind, page=STATE_OBJECTS):
        try:
            samples = _read(samples_of, document)
        except _ODD as error:
            lacks.errors[resource] += 1
            if lacks.errors[resource] == 1:
                what = f"{type(error).__name__}: {error}"
                log.warning("%s: %s cannot be read: %s", resource, _called(document), what)
            continue
        room -= len(samples)
        if room < 0:
            lacks.left_out[resource] += 1
        else:
            yield from samples


def _read(samples_of: Callable[[Document], Iterator[Sample]], document: Document) -> list[Sample]:
    samples = list(samples_of(document))
    for sample in samples:
        # One label of another kind would cost the whole page.
        if not all(isinstance(value, str) for value in sample.labels.values()):
            raise TypeError(f"{sample.name} has labels that are not texts")
    return samples


def _called(document: object) -> str:
    meta = document.get("metadata") if isinstance(document, Mapping) else None
    name = meta.get("name") if isinstance(meta, Mapping) else None
    space = meta.get("namespace") if isinstance(meta, Mapping) else None
    return "/".join(str(part) for part in (space, name) if part) or "an object without a name"


@dataclass(frozen=True, eq=False)
class _Page:
    """Samples, and how the look at them went, as prometheus_client collects them."""

    samples: list[Sample]
    lists: Counter[tuple[str, str]]
    lacks: Lacks

    def collect(self) -> Iterator[Family]:
        yield from families(self.samples)
        name = "kube_state_metrics_list"
        lists = CounterMetricFamily(name, "Lists of a resource", labels=("resource", "result"))
        for (resource, result), times in sorted(self.lists.items()):
            lists.add_metric((resource, result), times)
        left = GaugeMetricFamily("aiplat_states_left_out", "Objects without series", labels=("resource",))
        errors = GaugeMetricFamily(
            "aiplat_states_object_errors", "Objects that could not be read", labels=("resource",)
        )
        for family, found in ((left, self.lacks.left_out), (errors, self.lacks.errors)):
            for resource, objects in sorted(found.items()):
                family.add_metric((resource,), objects)
        yield from (lists, left, errors)
