"""Finds statements in what commands printed, with the passages that make them; which exist is knowledge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from aiplat.gpu.facts import Evidence, Fact

AROUND = 70


@cache
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


def said(facts: Iterable[Fact], phrases: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[Evidence, ...]]:
    """Return, for each statement that was made, the passages that make it."""
    known = tuple(facts)
    found = {name: passages(known, patterns) for name, patterns in phrases.items()}
    return {name: quotes for name, quotes in found.items() if quotes}


def passages(facts: Iterable[Fact], patterns: tuple[str, ...]) -> tuple[Evidence, ...]:
    """Return each fact's first passage that one of the patterns matches, with some words around it."""
    pattern = _compiled(patterns)
    matches = ((fact, pattern.search(fact.flow)) for fact in facts)
    return tuple(fact.evidence(_around(fact.flow, match)) for fact, match in matches if match)


def _around(text: str, match: re.Match[str]) -> str:
    start = max(0, match.start() - AROUND)
    end = min(len(text), match.end() + AROUND)
    return text[start:end]
