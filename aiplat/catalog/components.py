"""component.yaml and plane.yaml as frozen models; reading the files is in aiplat.catalog.catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from aiplat.catalog.artifacts import ArtifactKind, OwnModel
from aiplat.catalog.engines import EngineSpec, ModelFeature, wrong_settings
from aiplat.catalog.needs import NeedKind, Needs, Provided
from aiplat.catalog.recipes import Recipe
from aiplat.catalog.upstream_recipes import UpstreamRecipe
from aiplat.catalog.version_sources import VersionSource
from aiplat.frozen import Frozen

ApiVersion = Literal["aiplat.dev/v1alpha1"]


class ArtifactRecipe(Frozen):
    """One artifact of a component and how each supply gets it; `hosts` are those that install or run it.

    With `when: gpu` only sites with GPUs have it, and a supply that cannot get it still has the component.
    `supply` is the one supply that has it, where the chart takes something else of the site in the other.
    """

    kind: ArtifactKind
    name: str
    version: VersionSource
    hosts: Literal["all", "server"] = "server"
    when: Literal["always", "gpu"] = "always"
    supply: Literal["packages", "upstream"] | None = None
    packages: Recipe | None = None
    upstream: UpstreamRecipe | None = None

    @property
    def only(self) -> Literal["packages", "upstream"] | None:
        """The one supply whose artifact it is, where the other has another for the same."""
        if self.supply:
            return self.supply
        if self.packages and self.packages.deb and not self.upstream:
            return "packages"
        of_hosts = self.upstream and (self.upstream.ospackages or self.when == "gpu")
        return "upstream" if of_hosts and not self.packages else None


class Licence(Frozen):
    """The licence as an SPDX expression, and what a licence gate must know beyond it."""

    spdx: str
    name: str = ""
    url: str = ""
    conditions: tuple[str, ...] = ()


class Requires(Frozen):
    """What must be there for a component to work."""

    components: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()


class Provides(Frozen):
    """What a component gives: its namespace's Pod Security level, and the needs of others that it meets."""

    pod_security: Literal["privileged", "baseline", "restricted"] = Field(
        default="restricted", alias="podSecurity"
    )
    needs: dict[NeedKind, Provided] = Field(default_factory=dict)


class CatalogModel(Frozen):
    """A model that a site can serve; `aliases` are other names for the very same weights.

    An `adapter` is served beside other weights, never by itself, and has no features of its own. `settings`
    are the engine's own, as this model needs them.
    `shape` is the name under which aiplat.fit knows its architecture, where that is not its own. `suits` is
    what it was made for; nobody who does not ask for it gets a coder. `own` is what the files of a model say
    that is a site's own.
    """

    name: str
    aliases: tuple[str, ...] = ()
    purpose: str
    licence: Licence
    family: str = ""
    parameters: str = ""
    quantisation: str = ""
    shape: str = ""
    context_length: int | None = Field(default=None, gt=0)
    features: tuple[ModelFeature, ...] = ()
    adapter: bool = False
    settings: dict[str, str] = Field(default_factory=dict)
    suits: Literal["anything", "code", "reasoning"] = "anything"
    artifact: ArtifactRecipe
    own: OwnModel | None = None

    @property
    def lab_only(self) -> bool:
        """Whether labs alone may have it: it stands in for another, or is too small to work with."""
        return self.artifact.packages is not None and self.artifact.packages.lab_only

    @property
    def tag(self) -> str:
        """The part of the name behind the colon."""
        return self.name.partition(":")[2]


class LaterModel(Frozen):
    """A model that no engine of this version runs, and what it needs."""

    name: str
    aliases: tuple[str, ...] = ()
    purpose: str
    parameters: str = ""
    needs: str
    source: str
    licence: Licence


class Component(Frozen):
    """One thing a plane can have.

    A Helm release has a `namespace` and a chart among its artifacts; `chart` is the folder of one of ours.
    `engine` is set when it serves models. `in_existing` says what becomes of it in a cluster that aiplat did
    not make: it is installed as anywhere, `given` with the cluster, or `refused`, as it takes its hosts.
    `profiles` has the values of sizes other than `small`, which is what the chart or the engine says by
    itself. `folder` is where component.yaml was found; `models` are
    also those of its folder `models/`.
    """

    api_version: ApiVersion = Field(alias="apiVersion")
    kind: Literal["Component"]
    name: str
    plane: str
    purpose: str
    licence: Licence
    default: Literal["on", "request"]
    requires: Requires = Requires()
    provides: Provides = Provides()
    needs: Needs = Needs()
    in_existing: Literal["installed", "given", "refused"] = Field(default="installed", alias="inExisting")
    namespace: str | None = None
    chart: str | None = None
    order: int = 0
    artifacts: tuple[ArtifactRecipe, ...] = ()
    engine: EngineSpec | None = None
    profiles: dict[Literal["medium"], dict[str, Any]] = Field(default_factory=dict)
    models: tuple[CatalogModel, ...] = ()
    folder: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _models_do_what_the_engine_does(self) -> Self:
        can = set(self.engine.features) if self.engine else set()
        beyond = {model.name: sorted(set(model.features) - can) for model in self.models}
        if said := [f"{name}: {', '.join(features)}" for name, features in beyond.items() if features]:
            raise ValueError(f"features that the engine does not have: {'; '.join(said)}")
        return self

    @model_validator(mode="after")
    def _models_set_what_the_engine_has(self) -> Self:
        known = self.engine.run.settings if self.engine else {}
        for model in self.models:
            if said := wrong_settings(model.settings, known):
                raise ValueError(f"{model.name}: {'; '.join(said)}")
        return self

    @property
    def is_release(self) -> bool:
        """Whether plane_release installs it with Helm."""
        has_chart = self.chart is not None or any(a.kind == "chart" for a in self.artifacts)
        return self.namespace is not None and has_chart

    @property
    def supplies(self) -> tuple[Literal["packages", "upstream"], ...]:
        """The supplies that can deliver every artifact of the component."""
        both: tuple[Literal["packages", "upstream"], ...] = ("packages", "upstream")
        return tuple(s for s in both if self._is_delivered_by(s))

    def _is_delivered_by(self, supply: Literal["packages", "upstream"]) -> bool:
        mine = [a for a in self.artifacts if a.only in (None, supply)]
        return all(getattr(a, supply) is not None for a in mine) and bool(mine or not self.artifacts)


class Planned(Frozen):
    """A component of the plane that this version cannot deliver yet."""

    name: str
    purpose: str


class Plane(Frozen):
    """One of the platform's planes, in the order of the whole picture."""

    api_version: ApiVersion = Field(alias="apiVersion")
    kind: Literal["Plane"]
    name: str
    title: str
    order: int
    purpose: str
    planned: tuple[Planned, ...] = ()
    models_later: tuple[LaterModel, ...] = ()
