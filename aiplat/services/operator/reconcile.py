"""One pass over all Models: looks at everything, lets the decisions be made, and writes what differs.

A pass remembers nothing of the last one but the load, so that a process that was killed anywhere in a pass
is made good by the next pass of its successor.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from aiplat.errors import AiplatError
from aiplat.services.operator.bundle import HeldModel, SiteBundle
from aiplat.services.operator.capacity import SIMULATED, machine_of
from aiplat.services.operator.decide import Decision, Engaged, Refusal, decide_all, number_wanted
from aiplat.services.operator.desired import LABEL_MODEL, MODEL_UID, OWNED, desired, object_name
from aiplat.services.operator.model_spec import MANAGED_BY, OWN_GROUP, ModelSpec, model_spec_of
from aiplat.services.operator.scaling import Load, Scaler, together
from aiplat.services.operator.state import NO_SANDBOX, Seen, has_no_sandbox, is_settled, status_of

Document = dict[str, Any]

MODELS = ("Model.aiplat.dev", "Model.ollama.ayaka.io")
_MADE = ("Service", "PodDisruptionBudget", "PersistentVolumeClaim", "Deployment")
_VERSIONS = {OWN_GROUP: f"{OWN_GROUP}/v1alpha1", "ollama.ayaka.io": "ollama.ayaka.io/v1"}

log = logging.getLogger("aiplat.operator")


class Objects(Protocol):
    """What a pass needs of a cluster."""

    def listed(
        self, kind: str, namespace: str = "", selector: str = "", *, fields: str = ""
    ) -> list[Document]:
        """Return every object of a kind."""

    def read(self, kind: str, namespace: str, name: str) -> Document | None:
        """Return one object, or None where there is none."""

    def apply(self, document: Document, subresource: str = "") -> Document:
        """Make an object as a document says."""

    def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool:
        """Delete an object."""


@dataclass(frozen=True)
class Outcome:
    """What a pass left: whether all is settled, and which models' numbers follow their load."""

    settled: bool
    scaled: frozenset[str] = frozenset()


@dataclass
class Reconciler:
    """Makes the cluster as the Models and the bundle say; `loads` asks the gateways."""

    objects: Objects
    namespace: str
    bundle: Callable[[], SiteBundle]
    loads: Callable[[], dict[str, Load]]
    scaler: Scaler = field(default_factory=Scaler)
    clock: Callable[[], float] = time.monotonic

    def run(self) -> Outcome:
        """Do one pass; what cannot be written for one Model is logged and does not keep others waiting.

        Raises:
            AiplatError: the cluster does not say what there is; nothing was written then.
        """
        bundle = self.bundle()
        models = self._models()
        if self._keep_site_models(bundle, models):
            models = self._models()
        model_specs = {document["metadata"]["uid"]: model_spec_of(document) for document in models}
        cluster_state = self._look()
        machines = [machine_of(node) for node in self.objects.listed("Node")]
        decisions = decide_all(model_specs.values(), bundle, machines)
        cluster_state.simulated = {m.name for m in machines if SIMULATED in m.labels}
        if not cluster_state.simulated:
            # k3s has the class everywhere, and the runtime behind it only where NVIDIA's toolkit is.
            cluster_state.runtimes = {c["metadata"]["name"] for c in self.objects.listed("RuntimeClass")}
        loads = self.loads() if any(w.scales for w in model_specs.values()) else {}
        settled = [self._one(document, model_specs, decisions, cluster_state, loads) for document in models]
        swept = self._sweep(decisions, cluster_state)
        self.scaler.forget(set(model_specs))
        scaled = frozenset(w.name for w in model_specs.values() if w.scales)
        return Outcome(all(settled) and not swept, scaled)

    def _models(self) -> list[Document]:
        found = [document for kind in MODELS for document in self.objects.listed(kind)]
        return [d for d in found if not d["metadata"].get("deletionTimestamp")]

    def _look(self) -> _World:
        cluster_state = _World()
        for kind in _MADE:
            for document in self.objects.listed(kind, self.namespace, LABEL_MODEL):
                cluster_state.made[kind][document["metadata"]["name"]] = document
        for pod in self.objects.listed("Pod", self.namespace, LABEL_MODEL):
            if pod["metadata"].get("deletionTimestamp"):
                continue
            cluster_state.pods[pod["metadata"]["labels"][LABEL_MODEL]].append(pod)
        if any(has_no_sandbox(pod) for pods in cluster_state.pods.values() for pod in pods):
            for event in self.objects.listed("Event", self.namespace, fields=f"reason={NO_SANDBOX}"):
                cluster_state.no_sandbox[event["involvedObject"].get("uid", "")] = event.get("message", "")
        return cluster_state

    def _keep_site_models(self, bundle: SiteBundle, models: list[Document]) -> bool:
        """Make the Models that stand for what site.yaml serves, prune those it no longer names."""
        wanted = {model.slug: model for model in bundle.models if model.serve}
        there = {
            d["metadata"]["name"]: d
            for d in models
            if d["metadata"]["namespace"] == self.namespace
            and d["metadata"].get("labels", {}).get(MANAGED_BY) == "site"
        }
        specs = {slug: _spec_of_site(model) for slug, model in wanted.items()}
        others = {slug for slug, spec in specs.items() if not _says(there.get(slug), spec)}
        for slug in others:
            meta = {"name": slug, "namespace": self.namespace, "labels": {MANAGED_BY: "site"}}
            document = {"apiVersion": _VERSIONS[OWN_GROUP], "kind": "Model", "metadata": meta}
            self.objects.apply({**document, "spec": specs[slug]})
        gone = there.keys() - wanted.keys()
        for slug in gone:
            self.objects.delete(MODELS[0], self.namespace, slug, there[slug]["metadata"]["uid"])
        return bool(others or gone)

    def _one(
        self,
        document: Document,
        model_specs: dict[str, ModelSpec],
        decisions: dict[str, Decision],
        cluster_state: _World,
        loads: dict[str, Load],
    ) -> bool:
        """Bring one Model nearer to what it should be, and say how it stands; whether it is there."""
        model_spec = model_specs[document["metadata"]["uid"]]
        decision = decisions[model_spec.uid]
        load = together(loads.get(name) for name in (model_spec.name, *(a.name for a in model_spec.adapters)))
        try:
            if isinstance(decision, Engaged):
                self._engage(decision, cluster_state, load)
            seen = Seen(
                None if isinstance(decision, Refusal) else cluster_state.deployment(model_spec),
                () if isinstance(decision, Refusal) else tuple(cluster_state.pods[model_spec.slug]),
                load_known=load is not None,
                simulated=frozenset(cluster_state.simulated),
                no_sandbox=cluster_state.no_sandbox,
            )
            return self._tell(document, model_spec, decision, seen)
        except AiplatError as error:
            log.warning("%s: %s", model_spec.title, error)
            return False

    def _engage(self, engaged: Engaged, cluster_state: _World, load: Load | None) -> None:
        model_spec, there = engaged.model_spec, cluster_state.deployment(engaged.model_spec)
        current = there["spec"].get("replicas", 1) if there else model_spec.minimum
        if model_spec.scales:
            asked = self.scaler.wanted(
                model_spec.uid, load, current, engaged.target, model_spec.delay, self.clock()
            )
        else:
            asked = model_spec.minimum
        replicas = number_wanted(engaged, asked)
        if current != replicas:
            log.info("%s: %d replicas, were %d", model_spec.title, replicas, current)
        for document in desired(engaged, self.namespace, replicas, cluster_state.runtimes):
            if (
                document["kind"] == "Service"
                and cluster_state.serves_elsewhere(model_spec)
                and not _is_available(there)
            ):
                # The gateway would ask the one that has no replica yet.
                continue
            cluster_state.made[document["kind"]][document["metadata"]["name"]] = self.objects.apply(document)

    def _tell(self, document: Document, model_spec: ModelSpec, decision: Decision, seen: Seen) -> bool:
        before = document.get("status", {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = status_of(model_spec, decision, seen, before, now)
        if status != before:
            if status["phase"] != before.get("phase"):
                log.info("%s: %s: %s", model_spec.title, status["phase"], status["message"])
            meta = {"name": model_spec.object_name, "namespace": model_spec.namespace}
            told = {"apiVersion": _VERSIONS[model_spec.group], "kind": "Model", "metadata": meta}
            self.objects.apply({**told, "status": status}, "status")
        return is_settled(status)

    def _sweep(self, decisions: dict[str, Decision], cluster_state: _World) -> bool:
        """Delete what was made for Models that are gone or refused; whether there was any."""
        kept = {uid: decision for uid, decision in decisions.items() if isinstance(decision, Engaged)}
        swept = False
        key, value = OWNED.split("=")
        for kind in _MADE:
            for name, document in cluster_state.made[kind].items():
                labels = document["metadata"].get("labels", {})
                engaged = kept.get(labels.get(MODEL_UID, ""))
                if labels.get(key) == value and not (engaged and cluster_state.needs(engaged, name)):
                    log.info("%s %s: its Model is gone or refused, and so it goes", kind, name)
                    self.objects.delete(kind, self.namespace, name, document["metadata"]["uid"])
                    swept = True
        return swept


@dataclass
class _World:
    """What runs for Models: objects by kind and name, pods by slug; and what of the cluster matters to them.

    `runtimes` are the names of RuntimeClasses, `simulated` the nodes whose GPUs are made up, `no_sandbox`
    what a node said of a pod that it could not begin, by the pod's uid.
    """

    runtimes: set[str] = field(default_factory=set)
    simulated: set[str] = field(default_factory=set)
    no_sandbox: dict[str, str] = field(default_factory=dict)
    made: dict[str, dict[str, Document]] = field(default_factory=lambda: defaultdict(dict))
    pods: dict[str, list[Document]] = field(default_factory=lambda: defaultdict(list))

    def deployment(self, model_spec: ModelSpec) -> Document | None:
        """Return the Deployment of a Model, or None where there is none."""
        return self.made["Deployment"].get(object_name(model_spec))

    def needs(self, engaged: Engaged, name: str) -> bool:
        """Whether an object of a Model stays: of another name than now, until what has the name serves."""
        model_spec = engaged.model_spec
        named = {object_name(model_spec), engaged.cache}
        return name in named or not _is_available(self.deployment(model_spec))

    def serves_elsewhere(self, model_spec: ModelSpec) -> bool:
        """Whether a Service that is not the Model's stands for its weights: one of a former Helm release."""
        services = self.made["Service"].values()
        return any(
            service["metadata"]["labels"].get(LABEL_MODEL) == model_spec.slug
            and service["metadata"]["name"] != object_name(model_spec)
            for service in services
        )


def _is_available(deployment: Document | None) -> bool:
    if deployment is None:
        return False
    available = int(deployment.get("status", {}).get("availableReplicas", 0))
    return available >= int(deployment["spec"].get("replicas", 1))


def _spec_of_site(model: HeldModel) -> Document:
    """Return what the Model of a model of the site says; the rest of it is for people."""
    return {"source": {"catalogue": model.name}, "engine": model.engine}


def _says(document: Document | None, spec: Document) -> bool:
    return document is not None and spec.items() <= document["spec"].items()
