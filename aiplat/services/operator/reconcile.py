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
from aiplat.services.operator.bundle import SiteBundle
from aiplat.services.operator.capacity import machine_of
from aiplat.services.operator.decide import Decision, Engaged, Refusal, decide_all, number_wanted
from aiplat.services.operator.desired import (
    LABEL_MODEL,
    MODEL_UID,
    OWNED,
    desired,
    disruption_budget,
    number_alone,
)
from aiplat.services.operator.scaling import Load, Scaler
from aiplat.services.operator.state import Seen, is_settled, status_of
from aiplat.services.operator.wish import MANAGED_BY, OWN_GROUP, Wish, wish_of

Document = dict[str, Any]

MODELS = ("Model.aiplat.dev", "Model.ollama.ayaka.io")
_MADE = ("Service", "PodDisruptionBudget", "Deployment")
_VERSIONS = {OWN_GROUP: f"{OWN_GROUP}/v1alpha1", "ollama.ayaka.io": "ollama.ayaka.io/v1"}

log = logging.getLogger("aiplat.operator")


class Objects(Protocol):
    """What a pass needs of a cluster."""

    def listed(self, kind: str, namespace: str = "", selector: str = "") -> list[Document]:
        """Return every object of a kind."""

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
        wishes = {document["metadata"]["uid"]: wish_of(document) for document in models}
        world = self._look()
        machines = [machine_of(node) for node in self.objects.listed("Node")]
        decisions = decide_all(wishes.values(), bundle, machines)
        loads = self.loads() if any(w.scales for w in wishes.values()) else {}
        settled = [self._one(document, wishes, decisions, world, loads) for document in models]
        swept = self._sweep(decisions, world)
        self.scaler.forget(set(wishes))
        scaled = frozenset(w.name for w in wishes.values() if w.scales)
        return Outcome(all(settled) and not swept, scaled)

    def _models(self) -> list[Document]:
        found = [document for kind in MODELS for document in self.objects.listed(kind)]
        return [d for d in found if not d["metadata"].get("deletionTimestamp")]

    def _look(self) -> _World:
        world = _World()
        for kind in _MADE:
            for document in self.objects.listed(kind, self.namespace, LABEL_MODEL):
                world.made[kind][document["metadata"]["name"]] = document
        for pod in self.objects.listed("Pod", self.namespace, LABEL_MODEL):
            if pod["metadata"].get("deletionTimestamp"):
                continue
            world.pods[pod["metadata"]["labels"][LABEL_MODEL]].append(pod)
        return world

    def _keep_site_models(self, bundle: SiteBundle, models: list[Document]) -> bool:
        """Make the Models that stand for what site.yaml serves, prune those it no longer names."""
        wanted = {model.slug: model for model in bundle.models if model.serve}
        there = {
            d["metadata"]["name"]: d
            for d in models
            if d["metadata"]["namespace"] == self.namespace
            and d["metadata"].get("labels", {}).get(MANAGED_BY) == "site"
        }
        for slug in wanted.keys() - there.keys():
            meta = {"name": slug, "namespace": self.namespace, "labels": {MANAGED_BY: "site"}}
            spec = {"source": {"catalogue": wanted[slug].name}}
            document = {"apiVersion": _VERSIONS[OWN_GROUP], "kind": "Model", "metadata": meta, "spec": spec}
            self.objects.apply(document)
        for slug in there.keys() - wanted.keys():
            self.objects.delete(MODELS[0], self.namespace, slug, there[slug]["metadata"]["uid"])
        return wanted.keys() != there.keys()

    def _one(
        self,
        document: Document,
        wishes: dict[str, Wish],
        decisions: dict[str, Decision],
        world: _World,
        loads: dict[str, Load],
    ) -> bool:
        """Bring one Model nearer to what it should be, and say how it stands; whether it is there."""
        wish = wishes[document["metadata"]["uid"]]
        decision, load = decisions[wish.uid], loads.get(wish.name)
        try:
            if isinstance(decision, Engaged):
                self._engage(decision, world, load)
            seen = Seen(
                None if isinstance(decision, Refusal) else world.deployment(wish.slug),
                () if isinstance(decision, Refusal) else tuple(world.pods[wish.slug]),
                load_known=load is not None,
            )
            return self._tell(document, wish, decision, seen)
        except AiplatError as error:
            log.warning("%s: %s", wish.title, error)
            return False

    def _engage(self, engaged: Engaged, world: _World, load: Load | None) -> None:
        wish, there = engaged.wish, world.deployment(engaged.wish.slug)
        current = there["spec"].get("replicas", 1) if there else wish.minimum
        if wish.scales:
            asked = self.scaler.wanted(wish.uid, load, current, engaged.target, wish.delay, self.clock())
        else:
            asked = wish.minimum
        replicas = number_wanted(engaged, asked)
        if not (wish.by_site and engaged.engine.released):
            documents = desired(engaged, self.namespace, replicas)
        else:
            documents = self._adopted(engaged, there, replicas) if there else []
        if current != replicas:
            log.info("%s: %d replicas, were %d", wish.title, replicas, current)
        for document in documents:
            world.made[document["kind"]][document["metadata"]["name"]] = self.objects.apply(document)

    def _adopted(self, engaged: Engaged, deployment: Document, replicas: int) -> list[Document]:
        """Return what is added to an engine of the site's own release, whose form stays the release's."""
        selector = deployment["spec"]["selector"]["matchLabels"]
        budget = disruption_budget(engaged.wish, engaged.engine_name, self.namespace, selector)
        keeps = deployment["spec"].get("replicas", 1) == replicas
        return [budget] if keeps else [budget, number_alone(deployment, replicas)]

    def _tell(self, document: Document, wish: Wish, decision: Decision, seen: Seen) -> bool:
        before = document.get("status", {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = status_of(wish, decision, seen, before, now)
        if status != before:
            if status["phase"] != before.get("phase"):
                log.info("%s: %s: %s", wish.title, status["phase"], status["message"])
            meta = {"name": wish.object_name, "namespace": wish.namespace}
            told = {"apiVersion": _VERSIONS[wish.group], "kind": "Model", "metadata": meta}
            self.objects.apply({**told, "status": status}, "status")
        return is_settled(status)

    def _sweep(self, decisions: dict[str, Decision], world: _World) -> bool:
        """Delete what was made for Models that are gone or refused; whether there was any."""
        kept = {uid for uid, decision in decisions.items() if isinstance(decision, Engaged)}
        swept = False
        key, value = OWNED.split("=")
        for kind in _MADE:
            for name, document in world.made[kind].items():
                labels = document["metadata"].get("labels", {})
                if labels.get(key) == value and labels.get(MODEL_UID) not in kept:
                    log.info("%s %s: its Model is gone or refused, and so it goes", kind, name)
                    self.objects.delete(kind, self.namespace, name, document["metadata"]["uid"])
                    swept = True
        return swept


@dataclass
class _World:
    """What runs for Models: objects by kind and name, pods by slug."""

    made: dict[str, dict[str, Document]] = field(default_factory=lambda: defaultdict(dict))
    pods: dict[str, list[Document]] = field(default_factory=lambda: defaultdict(list))

    def deployment(self, slug: str) -> Document | None:
        """Return the Deployment of a slug, or None where there is none."""
        return self.made["Deployment"].get(f"model-{slug}")
