"""Rules about the models that a site serves; their weights and licences are aiplat.catalog's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, did_you_mean, shown
from aiplat.site.known import Known
from aiplat.site.models import Site
from aiplat.site.own_weights import wrong_files
from aiplat.site.rules.files import BUNDLE_PREFIX, absolute

_ALL = "the catalogue has"
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*:[a-z0-9]+([._-][a-z0-9]+)*")
_FORMATS = Site.model_fields["model_formats"].default


def unknown_model(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Every model is in the catalogue, by its name or an alias."""
    for path, name, _ in _models(document):
        if document.at(*path, "from") is not None:
            continue
        if needs := known.later.get(name):
            problem = f"no engine of this version runs {shown(name)}: it needs {needs}"
            yield document.finding((*path, "name"), problem, "leave it out")
        elif not known.named(name):
            fix = did_you_mean(name, known.model_names, _ALL)
            fix = fix if not fix.startswith(_ALL) else "see `aiplat catalog models`"
            yield document.finding((*path, "name"), f"{shown(name)} is not in the catalogue", fix)


def unknown_engine(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """An engine is a component that serves models."""
    for path, model in document.maps("models"):
        engine = model.get("engine")
        # Empty is what a site has that leaves it out.
        if isinstance(engine, str) and engine and engine not in known.engines:
            fix = did_you_mean(engine, known.engines, "there are")
            yield document.finding((*path, "engine"), f"{shown(engine)} is not an engine", fix)


def model_of_other_engine(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A model is served by an engine that has it in its form."""
    for path, name, engine in _models(document):
        engines = [m.engine for m in known.named(name)]
        if engines and engine in known.engines and engine not in engines:
            problem = f"the engine {engine} cannot serve {shown(name)}"
            yield document.finding((*path, "engine"), problem, f"write `engine: {engines[0]}`")


def duplicate_model(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """No model is there twice for one engine, also not under an alias."""
    seen: dict[tuple[str, str], tuple[Path, str]] = {}
    for path, name, engine in _models(document):
        found = known.named(name)
        served = engine or (found[0].engine if found else "")
        first, other = seen.setdefault((found[0].name if found else name, served), (path, name))
        if first != path:
            problem = f"{shown(name)} is the same model as {shown(other)} in line {document.places[first][0]}"
            yield document.finding((*path, "name"), problem, "keep one")


def bad_own_name(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A model of a site's own has a name with a tag, and one that the catalogue does not have."""
    for path, model, _ in _own(document):
        name = model.get("name")
        if not isinstance(name, str):
            continue
        if known.named(name) or name in known.later:
            problem = f"{shown(name)} is a model of the catalogue"
            yield document.finding((*path, "name"), problem, "give yours another name, or leave `from` out")
        elif not _NAME.fullmatch(name):
            problem = f"{shown(name)} is not a name for a model of your own"
            fix = "write it as name:tag in lower case (`ward-notes:1b`)"
            yield document.finding((*path, "name"), problem, fix)


def bad_own_model(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A model of a site's own says its engine and its licence, and asks for what the engine can do."""
    for path, model, engine in _own(document):
        if not engine:
            yield document.finding(path, "its engine is missing", f"write one of {_listed(known.engines)}")
        if not model.get("licence"):
            fix = "write its licence as SPDX (`licence: Apache-2.0`), or `licence: LicenseRef-own`"
            yield document.finding(path, "its licence is missing", fix)
        features = model.get("features")
        for feature in features if isinstance(features, list) else ():
            if (
                engine in known.features
                and isinstance(feature, str)
                and feature not in known.features[engine]
            ):
                problem = f"the engine {engine} does not do {shown(feature)}"
                fix = f"it does {_listed(sorted(known.features[engine]))}"
                yield document.finding((*path, "features"), problem, fix)


def foreign_own_key(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:  # noqa: ARG001 - as all
    """Licence and features of a model of the catalogue are the catalogue's."""
    for path, model in document.maps("models"):
        for key in ("licence", "features"):
            # Empty is what a site has that leaves it out.
            if model.get(key) and model.get("from") is None:
                problem = "is for models of your own, and this one has no `from`"
                yield document.finding((*path, key), problem, "leave it out, or name the folder as `from`")


def bad_own_files(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """The files of a model of a site's own are there, readable, and what its engine reads."""
    supply = document.at("supply")
    if isinstance(supply, str) and supply.startswith(BUNDLE_PREFIX):
        return  # the bundle has them
    said = document.at("modelFormats")
    formats = [str(one) for one in said] if isinstance(said, list) else _FORMATS
    for path, model, engine in _own(document):
        source = model["from"]
        if source == "":
            fix = "name the folder or file with the weights, or leave `from` out"
            yield document.finding((*path, "from"), "names nothing", fix)
        if engine in known.forms and isinstance(source, str) and source:
            for problem, fix in wrong_files(absolute(source, document.folder), known.forms[engine], formats):
                yield document.finding((*path, "from"), problem, fix)


def _own(document: YamlDocument) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Yield path, entry and engine of every model of the site's own."""
    for path, model in document.maps("models"):
        if model.get("from") is not None:
            yield path, model, str(model.get("engine") or "")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _models(document: YamlDocument) -> Iterator[tuple[Path, str, str]]:
    """Yield path, name and engine of every model that has a name."""
    for path, model in document.maps("models"):
        if isinstance(model.get("name"), str):
            yield path, model["name"], str(model.get("engine", ""))
