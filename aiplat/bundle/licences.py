"""The licence of everything in a bundle, what asks for attention first; what is in it is read by contents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from license_expression import get_license_index
from ruamel.yaml import YAML

from aiplat import API_VERSION
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.cards import ModelCard
from aiplat.bundle.contents.read import Contents
from aiplat.bundle.contents.spdx import licences_of, spdx_expression, spdx_names
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import Licence

Group = Literal["conditions", "unknown", "copyleft", "words", "limited copyleft", "notices"]
GROUPS: dict[Group, str] = {
    "conditions": "asks more than notices: read the conditions",
    "unknown": "says no licence where it could be read",
    "copyleft": "copyleft: who passes it on gives the source as well",
    "words": "a licence that is not an SPDX expression: read it",
    "limited copyleft": "copyleft for changes of its own files or library",
    "notices": "keep its notices",
}
_CATEGORIES: dict[str, Group] = {
    "Copyleft": "copyleft",
    "Copyleft Limited": "limited copyleft",
    "Permissive": "notices",
    "Public Domain": "notices",
}


@dataclass(frozen=True)
class LicenceLine:
    """One component, model or package with what it says of its licence, and every artifact that has it."""

    group: Group
    kind: str
    name: str
    version: str
    licences: tuple[str, ...]
    spdx: bool
    found_in: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    url: str = ""


def licence_lines(contents: list[Contents], cards: list[ModelCard], catalog: Catalog) -> list[LicenceLine]:
    """Return a line for each component, model and package of a bundle, what asks for attention first."""
    lines = [*_components(contents, catalog), *_models(contents, cards, catalog), *_packages(contents)]
    order = list(GROUPS)
    return sorted(lines, key=lambda line: (order.index(line.group), line.kind, line.name, line.version))


def _components(contents: list[Contents], catalog: Catalog) -> Iterator[LicenceLine]:
    for name in sorted({one.artifact.component for one in contents}):
        component = catalog.component(name)
        artifacts = {one.artifact.label for one in contents if one.artifact.component == name}
        yield _catalogued("component", name, "", component.licence if component else None, artifacts)


def _models(contents: list[Contents], cards: list[ModelCard], catalog: Catalog) -> Iterator[LicenceLine]:
    by_digest = {card.digest: card.licence for card in cards}
    for artifact in {
        one.artifact.ref: one.artifact for one in contents if one.artifact.kind == "model"
    }.values():
        model = catalog.model_of(artifact.name, artifact.version)
        licence = by_digest.get(str(artifact.digest)) or (model.licence if model else None)
        yield _catalogued("model", artifact.name, artifact.version, licence, {artifact.label})


def _catalogued(
    kind: str, name: str, version: str, licence: Licence | None, found_in: Iterable[str]
) -> LicenceLine:
    if licence is None:
        return LicenceLine("unknown", kind, name, version, (), spdx=False, found_in=tuple(sorted(found_in)))
    said = (licence.spdx,)
    group: Group = "conditions" if licence.conditions else _group(said)
    return LicenceLine(
        group=group,
        kind=kind,
        name=name,
        version=version,
        licences=(licence.name or licence.spdx,),
        spdx=bool(spdx_expression(licence.spdx)),
        found_in=tuple(sorted(found_in)),
        conditions=licence.conditions,
        url=licence.url,
    )


def _packages(contents: list[Contents]) -> Iterator[LicenceLine]:
    """Yield a line for each package, however many artifacts have it."""
    several: dict[tuple[str, str, str, tuple[str, ...]], set[str]] = {}
    for one in contents:
        for package in one.packages:
            said = licences_of(package.licences)
            key = (package.kind, package.name, package.version, said)
            several.setdefault(key, set()).add(one.artifact.label)
    for (kind, name, version, said), found_in in several.items():
        known = _known().get(f"pkg:{kind}/{name}", {})
        yield LicenceLine(
            group="conditions" if known else _group(said),
            kind=kind,
            name=name,
            version=version,
            licences=(known["licence"],) if known else said,
            spdx=bool(said) and not known and all(map(spdx_expression, said)),
            found_in=tuple(sorted(found_in)),
            conditions=tuple(known.get("conditions", ())),
            url=known.get("url", ""),
        )


@cache
def _known() -> dict[str, Any]:
    text = (Path(__file__).parent / "data" / "conditions.yaml").read_text(encoding="utf-8")
    return dict(YAML(typ="safe").load(text)["packages"])


def _group(said: tuple[str, ...]) -> Group:
    """Return the group of what asks most among all that holds; of a choice, what asks least."""
    if not said:
        return "unknown"
    order = list(GROUPS)
    return min((_of_expression(one) for one in said), key=order.index)


def _of_expression(said: str) -> Group:
    order = list(GROUPS)
    choices = [spdx_names(choice) for choice in said.split(" OR ")] if "(" not in said else [spdx_names(said)]
    groups = [min((_of_name(name) for name in names), key=order.index) for names in choices if names]
    return max(groups, key=order.index) if groups else "words"


def _of_name(name: str) -> Group:
    return _CATEGORIES.get(_category().get(name, ""), "words")


@cache
def _category() -> dict[str, str]:
    """Return the category of each name of SPDX, of ScanCode's list that comes with license-expression."""
    found: dict[str, str] = {}
    for one in get_license_index():
        for name in (one["spdx_license_key"], *one["other_spdx_license_keys"]):
            if name:
                found.setdefault(name, one["category"])
    return found


def licences_document(bundle: Bundle, lines: list[LicenceLine], unread: list[str]) -> dict[str, Any]:
    """Return the report for programs; `unread` is what no line stands for, as nothing here can read it."""
    rows = [
        {
            "group": line.group,
            "kind": line.kind,
            "name": line.name,
            "version": line.version,
            "licences": list(line.licences) or ["unknown"],
            "spdx": line.spdx,
            "conditions": list(line.conditions),
            "url": line.url,
            "in": list(line.found_in),
        }
        for line in lines
    ]
    counts = {group: sum(line.group == group for line in lines) for group in GROUPS}
    return {
        "apiVersion": API_VERSION,
        "kind": "BundleLicences",
        "path": str(bundle.path),
        "lockDigest": bundle.document.lock_digest,
        "counts": counts,
        "licences": rows,
        "unread": unread,
    }
