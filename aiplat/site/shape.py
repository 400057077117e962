"""Says in sentences where a file is not of the Site model's shape; relations are aiplat.site.rules'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, did_you_mean, shown
from aiplat.site.gpu_settings import FORMS, GpuSettings, GpuSharing
from aiplat.site.models import (
    ClusterSettings,
    ComponentSetting,
    CostSettings,
    HardwareSettings,
    Host,
    Site,
    SiteModel,
    Ssh,
)
from aiplat.site.strict import Strict

API_VERSION = "aiplat.dev/v1alpha1"
UNKNOWN_KEY = "unknown-key"
OTHER_KINDS = ("Bundle", "Component", "Ledger", "Lock", "Model", "Plan", "Plane", "Summary")
FOREIGN = ("wrong-api-version", "wrong-kind")
"""Findings after which nothing else in the file can be judged."""

# Which model describes the map at a path; * stands for any index or name.
_MODELS: dict[tuple[str, ...], type[Strict]] = {
    (): Site,
    ("cluster",): ClusterSettings,
    ("hosts", "*"): Host,
    ("hosts", "*", "ssh"): Ssh,
    ("hosts", "*", "hardware"): HardwareSettings,
    ("hosts", "*", "gpu"): GpuSettings,
    ("hosts", "*", "gpu", "sharing"): GpuSharing,
    ("costs",): CostSettings,
    ("planes", "*", "*"): ComponentSetting,
    ("models", "*"): SiteModel,
}
_WANTED = {
    "model_type": "a map",
    "model_attributes_type": "a map",
    "dict_type": "a map",
    "tuple_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "path_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
}
_EMPTY = (
    "the file is empty",
    "begin with `apiVersion: aiplat.dev/v1alpha1` and `kind: Site`; `aiplat site schema` lists the keys",
)


def shape_findings(document: YamlDocument) -> list[SiteFinding]:
    """Return one finding for each place where the document is not of the Site model's shape."""
    data = document.data
    if data is None:
        return [document.finding((), *_EMPTY).by("empty-file")]
    if not isinstance(data, dict):
        return [document.finding((), f"a site is a map, not {kind_of(data)}", _EMPTY[1]).by("not-a-map")]
    foreign = _foreign_version(document)
    if foreign:
        return foreign
    try:
        Site.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        return [_finding(document, detail) for detail in error.errors()]
    return []


def kind_of(value: object) -> str:
    """Return what a YAML value is, in words: "a list", "the number 5"."""
    if isinstance(value, bool):
        return shown(value)
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {shown(value)}"
    return shown(value)


def _foreign_version(document: YamlDocument) -> list[SiteFinding]:
    """Return findings where the file is of another kind or version, so that nothing else can be judged."""
    findings = []
    version, kind = document.at("apiVersion"), document.at("kind")
    if isinstance(version, str) and version.startswith("aiplat.dev/") and version != API_VERSION:
        problem = f"{shown(version)} is not a version that this aiplat knows"
        fix = f"write {API_VERSION}, or use the aiplat that the file was written for"
        findings.append(document.finding(("apiVersion",), problem, fix).by(FOREIGN[0]))
    if kind in OTHER_KINDS:
        problem = f"this is a {kind}, not a Site"
        findings.append(document.finding(("kind",), problem, "name a site file").by(FOREIGN[1]))
    return findings


def _finding(document: YamlDocument, detail: ErrorDetails) -> SiteFinding:
    # A setting of two forms: which one it was taken for is pydantic's matter.
    path: Path = tuple(part for part in detail["loc"] if part not in FORMS)
    detail = {**detail, "loc": path}
    kind = detail["type"]
    say = _SENTENCES.get(kind)
    if say:
        problem, fix = say(detail)
    elif kind in _WANTED:
        problem, fix = _wrong_kind(kind, detail["input"])
    else:
        problem, fix = detail["msg"].lower(), ""
    rule = UNKNOWN_KEY if kind == "extra_forbidden" else kind.replace("_", "-")
    return document.finding(path, problem, fix).by(rule)


def _wrong_kind(kind: str, value: Any) -> tuple[str, str]:
    wanted = _WANTED[kind]
    problem = f"must be {wanted}, not {kind_of(value)}"
    if wanted == "text" and isinstance(value, bool | int | float):
        return problem, "put it in quotes"
    if wanted == "a whole number" and isinstance(value, str) and value.isdigit():
        return problem, "remove the quotes"
    if value is None:
        return problem, "leave the key out or give it a value"
    return problem, ""


def _missing(detail: ErrorDetails) -> tuple[str, str]:
    hints = {
        "apiVersion": f"add `apiVersion: {API_VERSION}`",
        "kind": "add `kind: Site`",
        "name": "add `name: …`, lower-case letters, digits and dashes",
        "address": "add its IP address or DNS name",
        "role": "add `role: server` or `role: agent`",
    }
    return "this key is required and missing", hints.get(str(detail["loc"][-1]), "")


def _unknown_key(detail: ErrorDetails) -> tuple[str, str]:
    path: Path = detail["loc"]
    model = _MODELS.get(_pattern(path[:-1]))
    keys = [f.alias or name for name, f in model.model_fields.items()] if model else []
    return "unknown key", did_you_mean(path[-1], keys, "known keys")


def _pattern(path: Path) -> tuple[str, ...]:
    """Return the path as `_MODELS` has it: list indices and the names of planes and components as `*`."""
    named = 1 if path[:1] == ("planes",) else len(path)
    return tuple("*" if isinstance(p, int) or i >= named else p for i, p in enumerate(path))


def _not_one_of(detail: ErrorDetails) -> tuple[str, str]:
    expected = str(detail.get("ctx", {}).get("expected", "")).replace(" or ", ", ")
    words = [w.strip().strip("'") for w in expected.split(",") if w.strip()]
    value = detail["input"]
    if isinstance(value, bool) and detail["loc"][-1] == "state":
        return f"must be on or off, not {shown(value)}", f"write `state: {'on' if value else 'off'}`"
    what = kind_of(value) if not isinstance(value, str) else shown(value)
    hint = did_you_mean(value, words)
    return f"{what} is not one of {', '.join(words)}", hint if hint.startswith("did you mean") else ""


def _bad_name(detail: ErrorDetails) -> tuple[str, str]:
    value = detail["input"]
    if isinstance(value, str) and len(value) > 63:
        return f"is {len(value)} characters long", "a name has at most 63 (RFC 1123)"
    fix = "use lower-case letters, digits and dashes, beginning and ending with a letter or digit (RFC 1123)"
    return f"{shown(value)} is not a valid name", fix


def _out_of_range(detail: ErrorDetails) -> tuple[str, str]:
    if detail["loc"] and detail["loc"][-1] == "port":
        return f"{detail['input']} is not a port", "ports are 1 to 65535"
    bounds = detail.get("ctx", {})
    said = f"at least {bounds['ge']}" if "ge" in bounds else f"at most {bounds.get('le')}"
    return f"{detail['input']} is out of range", f"write {said}"


_SENTENCES: dict[str, Callable[[ErrorDetails], tuple[str, str]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "literal_error": _not_one_of,
    "string_pattern_mismatch": _bad_name,
    "string_too_long": _bad_name,
    "greater_than_equal": _out_of_range,
    "less_than_equal": _out_of_range,
    "greater_than": lambda _detail: ("must be more than 0", ""),
}
