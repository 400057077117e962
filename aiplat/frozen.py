"""The base of the documents aiplat reads and writes, and what is wrong with one that pydantic refuses."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from aiplat.errors import Finding


class Frozen(BaseModel):
    """A document or a part of one: unknown keys are errors, values never change."""

    # What is wrong is told without the values: they may be secrets, and errors reach logs and terminals.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)


_SENTENCES = {
    "extra_forbidden": ("is not a key that means anything here", "remove it"),
    "missing": ("is missing", "add it"),
    "timezone_aware": ("has no zone", "end it with Z or an offset"),
    "string_pattern_mismatch": ("has not the form that is wanted here", ""),
}


def findings_of(
    error: ValidationError, where: str, kind: type[BaseModel] | None = None, fix: str = ""
) -> list[Finding]:
    """Return a finding for each place that does not fit; values are not repeated, one may be a secret.

    With `kind`, the model that was to be read, an unknown key gets the nearest known one as its hint. `fix`
    is what to do where nothing better is known.
    """
    return [_finding(detail, where, kind, fix) for detail in error.errors(include_url=False)]


def _finding(detail: ErrorDetails, where: str, kind: type[BaseModel] | None, fix: str) -> Finding:
    message = detail["msg"].removeprefix("Value error, ")
    problem, hint = _SENTENCES.get(detail["type"], (message[:1].lower() + message[1:], ""))
    if detail["type"] == "extra_forbidden" and kind is not None:
        hint = _nearest_key(kind, detail["loc"]) or hint
    elif pattern := detail.get("ctx", {}).get("pattern"):
        hint = f"it must match {pattern}"
    place = place_of(detail["loc"])
    return Finding(f"{where}: {place}" if place else where, problem, fix or hint)


def place_of(parts: Sequence[int | str]) -> str:
    """Return where something is in a document, as people write it: `keys[0].models`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).lstrip(".")


def _nearest_key(kind: type[BaseModel], place: Sequence[int | str]) -> str:
    model: type[BaseModel] | None = kind
    for part in place[:-1]:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f'did you mean "{near[0]}"?' if near else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
