"""`resolve(site) -> Lock`: what is on and which artifacts it needs; making them is aiplat.supply's."""

from __future__ import annotations

from collections.abc import Iterator
from platform import machine
from typing import Literal, NamedTuple, cast

from aiplat.catalog.artifacts import PLATFORM, Artifact, Lock
from aiplat.catalog.catalog import Catalog, load_catalog
from aiplat.catalog.components import ArtifactRecipe, CatalogModel, Component
from aiplat.catalog.engine_values import wrong_values
from aiplat.catalog.gpu_hosts import unshared_gpus
from aiplat.catalog.inputs import inputs_of, own_inputs, upstream_inputs
from aiplat.catalog.os_recipes import OsPackages
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.ports import ports_taken_twice
from aiplat.catalog.routes import names_taken_twice, two_sign_ins
from aiplat.catalog.values import absent_profile
from aiplat.catalog.versions import version_of
from aiplat.errors import BadInput, Finding
from aiplat.site.models import Host, Site
from aiplat.site.systems import SYSTEMS, OsName, arch_of

SupplyName = Literal["packages", "upstream"]


class WantedArtifact(NamedTuple):
    """One artifact to be: whose it is, how it is made, the model it is, and which hosts it is for."""

    component: Component
    recipe: ArtifactRecipe
    model: CatalogModel | None = None
    platform: str = PLATFORM
    os: OsName | None = None

    @property
    def key(self) -> str:
        """Names it among all of a site."""
        name = f"{self.recipe.name}:{self.model.tag}" if self.model else self.recipe.name
        return f"{name} {self.platform} {self.os}"

    def version(self, supply: SupplyName) -> str:
        """Return its version as far as that is known before it is supplied."""
        return self.os or version_of(self.component, self.recipe, self.model, supply)


def resolve(site: Site, catalog: Catalog | None = None, supply: SupplyName | None = None) -> Lock:
    """Return the lock of a site: each artifact with its version and inputs, not yet supplied.

    `supply` is the one chosen where the site leaves it open.

    Artifacts come in the order of planes, releases and component.yaml; models come last.

    Raises:
        BadInput: the site asks for something that this version cannot deliver, or turns off what is needed.
    """
    catalog = catalog or catalog_of(site)
    supply = supply or supply_of(site)
    wanted = list(_wanted(site, catalog, supply))
    findings = [*undeliverable(site, catalog, supply), *_without_recipe(wanted, supply)]
    if findings:
        raise BadInput(findings)
    inputs: dict[str, str] = {}
    # What others are made with comes first, so that its digest is known.
    for one in sorted(wanted, key=lambda w: w.model is not None):
        engine = one.recipe.packages.engine if one.recipe.packages else None
        builds_on = {engine: inputs[f"{engine} {PLATFORM} None"]} if engine else {}
        version = one.version(supply)
        if one.model and one.model.own:
            found = own_inputs(one.recipe, one.model, builds_on)
        elif supply == "upstream":
            found = upstream_inputs(one.component, one.recipe, version, one.platform)
        else:
            found = inputs_of(one.component, one.recipe, version, builds_on, one.platform)
        inputs[one.key] = found
    return Lock(
        site=site.name,
        supply=supply,
        artifacts=tuple(_artifact(one, supply, inputs[one.key]) for one in wanted),
    )


def _without_recipe(wanted: list[WantedArtifact], supply: SupplyName) -> Iterator[Finding]:
    """Yield what the supply has no way to get."""
    fix = {
        "upstream": "leave it out, or use the supply `packages` in a lab",
        "packages": "leave it out, or write `supply: upstream`",
    }
    for one in wanted:
        if getattr(one.recipe, supply) is None:
            what = f"model {one.model.name}" if one.model else f"{one.recipe.kind} {one.recipe.name}"
            yield Finding(one.component.name, f"the supply `{supply}` has no {what}", fix[supply])


def supply_of(site: Site) -> SupplyName:
    """Return the supply of a site's artifacts; `auto` and a ready bundle mean `packages` in this version."""
    return "upstream" if site.supply == "upstream" else "packages"


def components_on(site: Site, catalog: Catalog | None = None) -> tuple[Component, ...]:
    """Return what a site installs: defaults and what it asks for, with all they require, in release order.

    In an existing cluster without what that has, or may not get.
    """
    catalog = catalog or load_catalog()
    asked = {(plane, name): s.state for plane, names in site.planes.items() for name, s in names.items()}
    on = {
        c.name
        for c in catalog.components
        if asked.get((c.plane, c.name), "on" if c.default == "on" else "off") == "on"
    }
    pending = list(on)
    while pending:
        component = catalog.component(pending.pop())
        more = set(_required(component, site, catalog) if component else ()) - on
        on |= more
        pending += more
    every = (c for c in sorted(catalog.components, key=lambda c: (c.order, c.name)) if c.name in on)
    return tuple(c for c in every if not site.is_guest or c.in_existing == "installed")


def _required(component: Component, site: Site, catalog: Catalog) -> list[str]:
    """Return the components that one requires: those it names, and all that provide what it needs."""
    kinds = (kind for kind in component.needs.kinds if not (kind == "oidcClients" and site.sign_in))
    providers = [c.name for kind in kinds for c in catalog.providers(kind)]
    return [*component.requires.components, *providers]


def undeliverable(
    site: Site, catalog: Catalog | None = None, supply: SupplyName | None = None
) -> list[Finding]:
    """Return a finding for everything the site asks for that this version cannot deliver."""
    catalog = catalog or catalog_of(site)
    on = {component.name for component in components_on(site, catalog)}
    return [
        *_still_to_come(site, catalog),
        *(_not_in_existing(site, catalog) if site.is_guest else ()),
        *_needed_but_off(site, catalog),
        *_nobody_provides(site, catalog),
        *two_sign_ins(site, components_on(site, catalog)),
        *_of_the_other_supply(site, catalog, supply or supply_of(site)),
        *_unbuilt_architectures(site, supply or supply_of(site)),
        *_unserved_models(site, catalog),
        *(finding for engine in catalog.engines for finding in wrong_values(site, engine)),
        *(finding for component in catalog.components for finding in absent_profile(site, component)),
        *ports_taken_twice(site, on),
        *names_taken_twice(components_on(site, catalog)),
        *unshared_gpus(site, on, supply or supply_of(site)),
    ]


def _still_to_come(site: Site, catalog: Catalog) -> Iterator[Finding]:
    for plane, names in site.planes.items():
        for name, setting in names.items():
            if setting.state == "on" and catalog.component(name) is None:
                problem = f"{name} is known, but not in this version"
                yield Finding(f"planes.{plane}.{name}", problem, "leave it out or write `state: off`")


def _not_in_existing(site: Site, catalog: Catalog) -> Iterator[Finding]:
    """Yield what a site asks for in a cluster that aiplat did not make and that is not for such clusters."""
    why = {
        "given": "is the existing cluster's own matter",
        "refused": "is not for existing clusters: it takes their hosts",
    }
    absent = {c.name: why[c.in_existing] for c in catalog.components if c.in_existing != "installed"}
    for plane, names in site.planes.items():
        for name, setting in names.items():
            if setting.state == "on" and name in absent:
                yield Finding(f"planes.{plane}.{name}", f"{name} {absent[name]}", "leave it out")
    refused = {c.name for c in catalog.components if c.in_existing == "refused"}
    for component in components_on(site, catalog):
        for name in sorted(refused.intersection(_required(component, site, catalog))):
            problem = f"{component.name} needs {name}, which {absent[name]}"
            yield Finding(f"planes.{component.plane}.{component.name}", problem, "leave it out")


def _of_the_other_supply(site: Site, catalog: Catalog, supply: SupplyName) -> Iterator[Finding]:
    """Yield what is asked for and nothing of which the supply has; a ready bundle says itself what it has."""
    if site.supply.startswith("bundle:"):
        return
    for plane, names in site.planes.items():
        for name, setting in names.items():
            component = catalog.component(name)
            if component and setting.state == "on" and supply not in component.supplies:
                others = " or ".join(component.supplies)
                problem = f"the supply `{supply}` does not have {name}"
                fix = (
                    f"write `supply: {others}`, or leave it out"
                    if others
                    else "leave it out: no supply has it"
                )
                yield Finding(f"planes.{plane}.{name}", problem, fix)


def _needed_but_off(site: Site, catalog: Catalog) -> Iterator[Finding]:
    off = {n for names in site.planes.values() for n, setting in names.items() if setting.state == "off"}
    on = components_on(site, catalog)
    for name in sorted(off & {c.name for c in on}):
        needing = ", ".join(c.name for c in on if name in _required(c, site, catalog) and c.name not in off)
        if not needing:
            continue  # only by another that is off and needed, which is told
        where = next(f"planes.{plane}.{name}" for plane, names in site.planes.items() if name in names)
        yield Finding(
            where, f"{name} is off, but {needing} needs it", f"turn {name} on, or turn {needing} off too"
        )


def _nobody_provides(site: Site, catalog: Catalog) -> Iterator[Finding]:
    """Yield what components that are on need and no component of this version provides."""
    for component in components_on(site, catalog):
        for kind in component.needs.kinds:
            if not catalog.providers(kind) and not (kind == "oidcClients" and site.sign_in):
                problem = f"{component.name} needs {kind}, which nothing in this version provides"
                fix = f"leave {component.name} out, or write `state: off`"
                yield Finding(f"planes.{component.plane}.{component.name}", problem, fix)


def _unbuilt_architectures(site: Site, supply: SupplyName) -> Iterator[Finding]:
    if site.supply not in ("auto", "packages") or supply != "packages":
        return
    for index, host in enumerate(site.hosts):
        if f"linux/{host.arch}" != PLATFORM:
            problem = f"the supply `packages` builds for amd64 alone, and {host.name} is {host.arch}"
            yield Finding(f"hosts[{index}].arch", problem, "write `supply: upstream`")


def _unserved_models(site: Site, catalog: Catalog) -> Iterator[Finding]:
    on = {c.name for c in components_on(site, catalog)}
    for index, wanted in enumerate(site.models):
        engine = catalog.engine_of(wanted.name, wanted.engine)
        where = f"models[{index}]"
        if engine is None:
            problem = f"no engine of this version serves {wanted.name}"
            yield Finding(where, problem, "use another model or engine")
        elif engine.name not in on:
            problem = f"{wanted.name} needs {engine.name}, which is off"
            yield Finding(where, problem, f"turn planes.{engine.plane}.{engine.name} on")
        else:
            model = catalog.model(wanted.name, engine.name)
            if model and wanted.serve and model.adapter:
                problem = f"{model.name} is not served by itself: it is an adapter"
                yield Finding(where, problem, "write `serve: false`, and name its image in a Model")


def _wanted(site: Site, catalog: Catalog, supply: SupplyName) -> Iterator[WantedArtifact]:
    """Yield each artifact's component and recipe once, models of the site last."""
    rank = {c.name: i for i, c in enumerate(catalog.components)}
    for component in sorted(components_on(site, catalog), key=lambda c: rank[c.name]):
        for recipe in component.artifacts:
            if recipe.only not in (None, supply):
                continue
            if recipe.when == "gpu" and not any(host.has_gpus for host in site.hosts):
                continue
            for platform, system in _targets(site, recipe, supply):
                yield WantedArtifact(component, recipe, platform=platform, os=system)
    if site.is_guest:
        yield from _kubectl(catalog)
    for component, model in site_models(site, catalog, supply):
        yield WantedArtifact(component, model.artifact, model)


def _kubectl(catalog: Catalog) -> Iterator[WantedArtifact]:
    """Yield k3s' program for this machine, where an existing cluster is spoken to: it is kubectl too."""
    component = catalog.component("k3s")
    for recipe in component.artifacts if component else ():
        if recipe.name == "k3s":
            yield WantedArtifact(cast("Component", component), recipe, platform=this_platform())


def this_platform() -> str:
    """Return the platform of the machine that aiplat runs on, as artifacts name it: `linux/amd64`."""
    return f"linux/{arch_of(machine()) or machine()}"


def _targets(site: Site, recipe: ArtifactRecipe, supply: SupplyName) -> list[tuple[str, OsName | None]]:
    """Return the platforms, and for packages the operating systems, that a host file is needed for.

    Images are for several platforms at once, charts and models for all.
    """
    if recipe.kind != "hostfile":
        return [(PLATFORM, None)]
    if site.is_guest:
        return [(this_platform(), None)]
    hosts = site.hosts if recipe.hosts == "all" else site.servers
    if supply != "upstream" or recipe.upstream is None or recipe.upstream.ospackages is None:
        return [(platform, None) for platform in sorted({f"linux/{host.arch}" for host in hosts})]
    wanted = {
        (f"linux/{h.arch}", h.os) for h in hosts if h.os and gets_packages(h, recipe.upstream.ospackages)
    }
    return sorted(wanted)


def packages_brought(site: Site, host: Host, catalog: Catalog | None = None) -> frozenset[str]:
    """Return the packages that are wanted on a host by name, without what they need; upstream brings them."""
    recipes = [
        recipe.upstream.ospackages
        for component in components_on(site, catalog)
        for recipe in component.artifacts
        if recipe.upstream and recipe.upstream.ospackages
    ]
    requests = [r.families[SYSTEMS[host.os].like] for r in recipes if host.os and gets_packages(host, r)]
    return frozenset(name for request in requests for name in request.packages)


def gets_packages(host: Host, recipe: OsPackages) -> bool:
    """Whether packages of a recipe are for a host, by what site.yaml says of it."""
    if host.os is None or SYSTEMS[host.os].like not in recipe.families:
        return False
    return host.takes(recipe.when)


def site_models(
    site: Site, catalog: Catalog | None = None, supply: SupplyName | None = None
) -> tuple[tuple[Component, CatalogModel], ...]:
    """Return the site's models with their engines, each once, in the order of the site.

    Where a name stands for other weights under another supply, those of `supply` are meant.
    """
    catalog = catalog or catalog_of(site)
    found: dict[tuple[str, str], tuple[Component, CatalogModel]] = {}
    for wanted in site.models:
        component = catalog.engine_of(wanted.name, wanted.engine)
        model = catalog.model(wanted.name, component.name, supply) if component else None
        if component and model:
            found.setdefault((component.name, model.name), (component, model))
    return tuple(found.values())


def served_models(
    site: Site, catalog: Catalog | None = None, supply: SupplyName | None = None
) -> tuple[tuple[Component, CatalogModel], ...]:
    """Return those of the site's models that it serves by itself, not only for Models that ask for them."""
    return site_models(site.model_copy(update={"models": site.served}), catalog, supply)


def _artifact(one: WantedArtifact, supply: SupplyName, inputs: str) -> Artifact:
    return Artifact(
        kind=one.recipe.kind,
        name=one.recipe.name,
        version=one.version(supply),
        component=one.component.name,
        platform=one.platform,
        os=one.os,
        when=recipe.when if (recipe := one.recipe.upstream and one.recipe.upstream.ospackages) else "always",
        hosts=one.recipe.hosts,
        lab_only=supply == "packages" and _lab_only(one.recipe),
        inputs=inputs,
        own=one.model.own if one.model else None,
    )


def _lab_only(recipe: ArtifactRecipe) -> bool:
    """Whether only lab hosts may get it: the stand-in, and packages of the suite that lab hosts run."""
    return recipe.packages is not None and (recipe.packages.lab_only or recipe.packages.deb is not None)
