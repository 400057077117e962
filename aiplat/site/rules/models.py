"""Rules about the models that a site serves; their weights and licences are aiplat.catalog's."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, did_you_mean, shown
from aiplat.site.known import Known

_ALL = "the catalogue has"


def unknown_model(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Every model is in the catalogue, by its name or an alias."""
    for path, name, _ in _models(document):
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


def _models(document: YamlDocument) -> Iterator[tuple[Path, str, str]]:
    """Yield path, name and engine of every model that has a name."""
    for path, model in document.maps("models"):
        if isinstance(model.get("name"), str):
            yield path, model["name"], str(model.get("engine", ""))
