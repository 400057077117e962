"""Keeps the model table in step with the Services labelled aiplat.dev/model and their EndpointSlices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiplat.moments import moment_of
from aiplat.services.gateway.routing.models import HOLD_SECONDS, Model, ModelTable
from aiplat.services.gateway.routing.watch import ACCOUNT, ObjectWatch, api_server

__all__ = ["ServiceWatch", "api_server", "endpoints_of", "model_of"]

LABEL_MODEL = "aiplat.dev/model"
LABEL_ENGINE = "aiplat.dev/engine"
LABEL_SERVICE = "kubernetes.io/service-name"
NOTE_NAME = "aiplat.dev/model-name"
NOTE_ALIASES = "aiplat.dev/model-aliases"
NOTE_SERVED_AS = "aiplat.dev/served-as"
NOTE_ADAPTERS = "aiplat.dev/adapters"
NOTE_FALLBACKS = "aiplat.dev/fallbacks"
NOTE_HOLD = "aiplat.dev/hold-seconds"
# How the engine's own component describes what it speaks.
NOTE_PATHS = "aiplat.dev/paths"
NOTE_OUTPUT_LIMIT = "aiplat.dev/output-limit"
NOTE_ROLES = "aiplat.dev/roles"
NOTE_OPTIONS = "aiplat.dev/options"

log = logging.getLogger("aiplat.gateway")


def model_of(service: dict[str, Any], endpoints: tuple[str, ...] | None = None) -> Model | None:
    """Return the model a labelled Service stands for, or None when it lacks a port or an address.

    `endpoints` are the URLs of its ready pods; while they are not known the Service itself is asked,
    by its cluster IP rather than its name: the data path then needs no DNS.

    Raises:
        ValueError: a label or an annotation has a value that cannot be used.
    """
    meta, spec = service["metadata"], service["spec"]
    labels, notes = meta.get("labels", {}), meta.get("annotations", {})
    address, ports = spec.get("clusterIP"), spec.get("ports") or []
    if not ports or not address:
        return None
    host = f"{meta['name']}.{meta['namespace']}.svc" if address == "None" else address
    own = (f"http://{_in_url(host)}:{ports[0]['port']}",)
    created = moment_of(meta.get("creationTimestamp", "1970-01-01T00:00:00+00:00"))
    return Model(
        name=notes.get(NOTE_NAME) or labels[LABEL_MODEL],
        urls=own if endpoints is None else endpoints,
        engine=labels.get(LABEL_ENGINE, ""),
        aliases=_listed(notes, NOTE_ALIASES),
        served_as=notes.get(NOTE_SERVED_AS, ""),
        fallbacks=_listed(notes, NOTE_FALLBACKS),
        hold_seconds=float(notes.get(NOTE_HOLD) or HOLD_SECONDS),
        created=int(created.timestamp()),
        paths=_listed(notes, NOTE_PATHS),
        **_words(notes),
    )


def adapters_of(service: dict[str, Any], model: Model) -> tuple[Model, ...]:
    """Return the adapters that a Service's engine serves beside its model, each a model of its own name."""
    names = _listed(service["metadata"].get("annotations", {}), NOTE_ADAPTERS)
    own = {"aliases": (), "fallbacks": ()}
    return tuple(model.model_copy(update={"name": name, "served_as": name, **own}) for name in names)


def _words(notes: dict[str, str]) -> dict[str, Any]:
    """Return what the engine says of the words it knows; what it does not say is left to the model."""
    given = {
        "output_limit": notes.get(NOTE_OUTPUT_LIMIT),
        "roles": _listed(notes, NOTE_ROLES),
        "options": _listed(notes, NOTE_OPTIONS),
    }
    return {name: value for name, value in given.items() if value}


def _listed(notes: dict[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in notes.get(name, "").split(",") if part.strip())


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def endpoints_of(leases: Iterable[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return for each Service that has slices the URLs of its ready endpoints, sorted."""
    found: dict[str, set[str]] = {}
    for piece in leases:
        urls = found.setdefault(piece["metadata"]["labels"][LABEL_SERVICE], set())
        ports = piece.get("ports") or []
        for endpoint in (piece.get("endpoints") or []) if ports else []:
            # Absent means unknown, which the API says to take as ready.
            if endpoint.get("conditions", {}).get("ready") is not False:
                urls.update(f"http://{_in_url(a)}:{ports[0]['port']}" for a in endpoint["addresses"])
    return {service: tuple(sorted(urls)) for service, urls in found.items()}


class ServiceWatch:
    """Watches Services and EndpointSlices of one namespace and writes what they mean into a table."""

    def __init__(self, table: ModelTable, namespace: str, api: str, account: Path = ACCOUNT) -> None:
        self._table = table
        leases = f"{api}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        services = f"{api}/api/v1/namespaces/{namespace}/services"
        self._services = ObjectWatch(services, LABEL_MODEL, self._publish, account)
        self._leases = ObjectWatch(leases, LABEL_SERVICE, self._publish, account)
        self._published: tuple[Model, ...] = ()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._services.run())
            both.create_task(self._leases.run())

    def _publish(self) -> None:
        if not self._services.listed:
            return
        endpoints = endpoints_of(self._leases.objects.values()) if self._leases.listed else None
        models = tuple(model for s in self._services.objects.values() for model in _read(s, endpoints))
        # Slices of other Services change as well; pods come and go by the dozen while a node restarts.
        if models != self._published or not self._table.ready:
            self._published = models
            self._table.replace(models)
            log.info("models: %s", ", ".join(self._table.names()) or "none")


def _read(service: dict[str, Any], endpoints: dict[str, tuple[str, ...]] | None) -> tuple[Model, ...]:
    """Return the model of a Service and its adapters; none where it is not usable."""
    name = service["metadata"]["name"]
    try:
        model = model_of(service, None if endpoints is None else endpoints.get(name, ()))
        # An adapter's name is before the model's own in the table, which a model's own must win.
        return (*adapters_of(service, model), model) if model else ()
    except ValueError as error:
        log.warning("Service %s is not a usable model: %s", name, error)
        return ()
