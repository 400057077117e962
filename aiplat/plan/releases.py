"""What Helm is to install: releases in order, their rendered values and the Secrets they refer to by name."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import CatalogModel, Component
from aiplat.catalog.engine_values import defaults_of, run_of
from aiplat.catalog.engines import EngineSpec
from aiplat.catalog.resolve import components_on, served_models, site_models
from aiplat.catalog.values import merged, values_of
from aiplat.content import digest_of
from aiplat.errors import AiplatError, Finding
from aiplat.plan.existing import api_servers, ref_in
from aiplat.plan.fitting import fitted
from aiplat.plan.gpu_sharing import mig_data, plugin_data
from aiplat.plan.inventory import inventory
from aiplat.plan.needs import (
    connections,
    databases,
    declared_keys,
    metrics_targets,
    names_askers,
    needed_objects,
    passwords,
)
from aiplat.plan.role_variables import NOT_YET, Namespace, ReleaseWanted, ServedWeights, inputs_label
from aiplat.plan.routes import forward_auth, forwarded_hosts, ingress, routes
from aiplat.plan.sign_in import askers_outside, client_objects, clients_file, sign_in
from aiplat.plan.yaml_text import to_yaml
from aiplat.site.models import Site
from aiplat.site.references import identity_name, references_in, with_secrets

# From loose to strict: the loosest that a namespace's components need is enforced there.
_POD_SECURITY = ("privileged", "baseline", "restricted")


def releases_of(
    site: Site, lock: Lock, catalog: Catalog, identities: Mapping[str, str]
) -> tuple[ReleaseWanted, ...]:
    """Return the Helm releases of a site in order, values rendered.

    Raises:
        AiplatError: a values.yaml.j2 cannot be rendered (all of them named).
    """
    findings: list[Finding] = []
    releases = []
    for component in components_on(site, catalog):
        if not component.is_release:
            continue
        try:
            releases.append(_release(component, site, lock, catalog, identities))
        except (TemplateError, YAMLError) as error:
            findings.append(Finding(f"{component.name}/values.yaml.j2", f"cannot be rendered: {error}"))
    if findings:
        raise AiplatError(findings)
    return tuple(releases)


def namespaces_of(site: Site, catalog: Catalog) -> tuple[Namespace, ...]:
    """Return the namespaces of the components that are on, with plane and Pod Security level as labels."""
    found: dict[str, list[Component]] = {}
    for component in components_on(site, catalog):
        if component.namespace:
            found.setdefault(component.namespace, []).append(component)
    return tuple(_namespace(name, members) for name, members in sorted(found.items()))


def cluster_secrets(
    site: Site, lock: Lock, catalog: Catalog, identities: Mapping[str, str], secrets: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the Kubernetes Secrets of all components, as `plane_release_secrets` wants them.

    `secrets` is what secrets.yaml.j2 files see under that name; its `generated` are the entries of what
    components need, by name. The result is for a run's private file only.
    """
    on = components_on(site, catalog)
    generated = secrets.get("generated", {})
    seen = {
        **secrets,
        "databases": passwords(on, generated),
        "declared": declared_keys(on, generated),
        "oidc_clients": clients_file(site, on, generated),
    }
    own = [
        _secret(component, entry)
        for component in on
        for entry in _render(
            component,
            "secrets.yaml.j2",
            _context(component, site, lock, catalog, identities) | {"secrets": seen},
        )
    ]
    needed = (
        *needed_objects(on, generated, secrets.get("trusted", "")),
        *client_objects(site, on, secrets),
    )
    return own + [_secret(component, entry) for component, entry in needed]


def private_values(
    site: Site, lock: Lock, catalog: Catalog, identities: Mapping[str, str], given: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return the values of releases that refer to secrets, as `plane_release_private_values` wants them.

    `given` is secrets by name. The content is JSON: `values`, as YAML with the secrets in their places, and
    `secrets`, what messages must not repeat. For a run's private file only.
    """
    found = []
    for release in releases_of(site, lock, catalog, identities):
        if release.secret_names:
            values = with_secrets(YAML(typ="safe", pure=True).load(release.values), given)
            content = {"values": to_yaml(values), "secrets": [given[name] for name in release.secret_names]}
            found.append({"release": release.name, "content": json.dumps(content)})
    return found


def _release(
    component: Component, site: Site, lock: Lock, catalog: Catalog, identities: Mapping[str, str]
) -> ReleaseWanted:
    context = _context(component, site, lock, catalog, identities)
    rendered = _render(component, "values.yaml.j2", context) or {}
    document = merged(rendered, values_of(site, component))
    values, names = to_yaml(document), sorted({name for _, name in references_in(document)})
    chart = _chart(component, lock)
    digest = chart.file or chart.digest or chart.inputs
    return ReleaseWanted(
        name=component.name,
        namespace=component.namespace or "",
        order=component.order,
        chart_ref=f"{chart.name}:{chart.version}",
        chart=digest,
        values=values,
        inputs=inputs_label(digest_of([digest, values, *(identities.get(identity_name(n)) for n in names)])),
        secret_names=tuple(names),
    )


def _chart(component: Component, lock: Lock) -> Artifact:
    return next(a for a in lock.of("chart") if a.component == component.name)


def _context(
    component: Component, site: Site, lock: Lock, catalog: Catalog, identities: Mapping[str, str]
) -> dict[str, Any]:
    on = components_on(site, catalog)
    return {
        "site": site,
        "lock": lock,
        "images": {image.name: ref_in(site, image) for image in lock.of("image")},
        "api_servers": api_servers(site),
        "models": [
            _model(engine, model, site, lock, catalog)
            for engine, model in site_models(site, catalog, lock.supply)
        ],
        "engines": engines_of(site, lock, catalog),
        "catalogue_models": sorted({n for _, m in catalog.models for n in (m.name, *m.aliases)}),
        "digests": [a.digest for a in lock.artifacts if a.kind in {"image", "model"} and a.digest],
        "domain": site.domain,
        "endpoint": site.endpoint,
        "component": component.name,
        "namespace": component.namespace,
        "namespaces": [n.name for n in namespaces_of(site, catalog)],
        "databases": databases(on, identities),
        "connections": connections(on),
        "names_askers": names_askers(on),
        "metrics_targets": metrics_targets(on),
        "routes": routes(site, on),
        "forwarded_hosts": forwarded_hosts(site, on),
        "forward_auth": forward_auth(on),
        "ingress": ingress(site, on),
        "sign_in": sign_in(site, on, identities),
        "askers_outside": askers_outside(site, on),
        "inventory": inventory(on, lock),
        "gpu_configs": {"plugin": plugin_data(site), "mig": mig_data(site)},
        # Before the first run there are no secrets yet, and a plan is wanted all the same.
        "identities": identities or defaultdict(lambda: NOT_YET),
    }


def engines_of(site: Site, lock: Lock, catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return how each engine of the site is run, by name, as the operator reads it."""
    images = {image.name: ref_in(site, image) for image in lock.of("image")}
    return {
        component.name: {
            "image": images[component.engine.image],
            **_gpu_image(component.engine, images),
            **_run(component.engine, values_of(site, component)),
        }
        for component in components_on(site, catalog)
        if component.engine and component.engine.image in images
    }


def _gpu_image(engine: EngineSpec, images: Mapping[str, str]) -> dict[str, str]:
    """Return the image for GPUs where that is another one, empty where the site has none."""
    return {"gpuImage": images.get(engine.gpu_image, "")} if engine.gpu_image else {}


def served_weights(site: Site, lock: Lock, catalog: Catalog) -> tuple[ServedWeights, ...]:
    """Return what the operator is to serve of the site's own models."""
    served = (model for _, model in served_models(site, catalog, lock.supply))
    return tuple(ServedWeights(slug=model_slug(m), ref=ref_in(site, _weights(m, lock))) for m in served)


def _run(engine: EngineSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    run = run_of(engine, values).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"run": run, **defaults_of(engine, values).model_dump(mode="json", by_alias=True)}


def _model(
    engine: Component, model: CatalogModel, site: Site, lock: Lock, catalog: Catalog
) -> dict[str, Any]:
    artifact = _weights(model, lock)
    return {
        "name": model.name,
        "slug": model_slug(model),
        "engine": engine.name,
        "ref": ref_in(site, artifact),
        "digest": artifact.digest or artifact.inputs,
        "aliases": list(model.aliases),
        "features": list(model.features),
        "settings": dict(model.settings),
        "context_length": model.context_length,
        "serve": (engine, model) in served_models(site, catalog, lock.supply),
        # What a site gives an engine's pods replaces what was computed for them.
        "fit": None if "resources" in values_of(site, engine) else fitted(engine, model),
    }


def _weights(model: CatalogModel, lock: Lock) -> Artifact:
    return next(a for a in lock.of("model") if (a.name, a.version) == (model.artifact.name, model.tag))


def model_slug(model: CatalogModel) -> str:
    """Return a model's name as a part of Kubernetes names: `gemma3:270m` is `gemma3-270m`."""
    return "".join(c if c.isalnum() else "-" for c in model.name.lower()).strip("-")


def _render(component: Component, name: str, context: Mapping[str, Any]) -> Any:
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML
    )
    environment.filters |= {"to_json": json.dumps, "to_yaml": to_yaml}
    path = component.folder / name
    if not path.exists():
        return {}
    text = environment.from_string(path.read_text(encoding="utf-8")).render(context)
    return YAML(typ="safe", pure=True).load(text)


def _namespace(name: str, members: list[Component]) -> Namespace:
    levels = [m.provides.pod_security for m in members]
    labels = {
        "aiplat.dev/plane": members[0].plane,
        "pod-security.kubernetes.io/enforce": min(levels, key=_POD_SECURITY.index),
        "pod-security.kubernetes.io/warn": _POD_SECURITY[-1],
        "pod-security.kubernetes.io/audit": _POD_SECURITY[-1],
    }
    return Namespace(name=name, labels=labels)


def _secret(component: Component, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": entry["name"],
        "namespace": entry.get("namespace") or component.namespace,
        "type": entry.get("type", "Opaque"),
        "labels": {"aiplat.dev/component": component.name, **entry.get("labels", {})},
        "string_data": entry["stringData"],
    }
