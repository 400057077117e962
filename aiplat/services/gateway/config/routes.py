"""The file that says where models are: static ones, providers, fallbacks, whether data may leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from aiplat.services.gateway.routing.egress import Egress
from aiplat.services.gateway.routing.models import Model, ModelTable
from aiplat.services.gateway.upstream.providers import Provider, Providers


class Routes(BaseModel):
    """Where models are. With `egress: forbidden` every URL must be inside of the site.

    `routing` says how replicas are chosen: by the beginning of the prompt and load, or by load alone.
    Inside are private addresses, names of the cluster, and what `inside` adds: networks and names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[Model, ...] = ()
    providers: tuple[Provider, ...] = ()
    fallbacks: dict[str, tuple[str, ...]] = {}
    routing: Literal["prefix", "load"] = "prefix"
    egress: Literal["allowed", "forbidden"] = "allowed"
    inside: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := [*_unknown_providers(self), *_outside(self)]:
            raise ValueError("; ".join(problems))
        return self

    def rules(self) -> Egress:
        """Return the rule about what may be asked."""
        return Egress(self.egress == "forbidden", self.inside)


def _unknown_providers(routes: Routes) -> Iterator[str]:
    known = {p.name for p in routes.providers}
    for model in routes.models:
        if model.provider and model.provider not in known:
            offer = ", ".join(sorted(known)) or "none"
            yield f"model {model.name}: no provider is called {model.provider!r}; there are: {offer}"


def _outside(routes: Routes) -> Iterator[str]:
    egress = routes.rules()
    places = [(f"provider {p.name}", p.url) for p in routes.providers]
    places += [(f"model {m.name}", url) for m in routes.models for url in m.replicas]
    for what, url in places:
        if reason := egress.refuses(url):
            yield f"{what}: {reason}; remove it, or add its host to `inside` if it is the site's own"


class RouteFile:
    """Reads the file and puts what it says to work, as often as it changes."""

    def __init__(self, path: Path, table: ModelTable, egress: Egress, providers: Providers) -> None:
        self._providers = providers
        self._path = path
        self._table = table
        self._egress = egress

    def paths(self) -> tuple[Path, ...]:
        """Return the files to look at for changes: its own and those with keys."""
        return (self._path, *self._providers.key_files())

    def load(self) -> None:
        """Read the file.

        Raises:
            ValueError: it is not what Routes describes; what was read before stays, unless the file
                forbids egress: then everything it had brought is gone until it is mended.
            OSError: it cannot be read.
        """
        document = json.loads(self._path.read_text())
        try:
            routes = Routes.model_validate(document)
        except ValueError:
            if _may_forbid(document):
                self._egress.become(Egress(forbidden=True))
                self._table.add_routed(())
            raise
        self.apply(routes)

    def apply(self, routes: Routes) -> None:
        """Put routes to work; the rule about egress comes first.

        Raises:
            ValueError, OSError: a provider's key cannot be read.
        """
        self._egress.become(routes.rules())
        self._providers.use(routes.providers)
        by_name = {p.name: p for p in routes.providers}
        self._table.fallbacks = dict(routes.fallbacks)
        self._table.by_prefix = routes.routing == "prefix"
        self._table.add_routed(_with_place(m, by_name) for m in routes.models)


def _with_place(model: Model, providers: dict[str, Provider]) -> Model:
    if not model.provider:
        return model
    return model.model_copy(update={"url": providers[model.provider].url.rstrip("/")})


def _may_forbid(document: Any) -> bool:
    return isinstance(document, dict) and document.get("egress", "allowed") != "allowed"
