"""What an engine is asked at once: lengths, requests, their number and rate; knows no speed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiplat.fit.request import Request

# Conversations that benchmarks replay, as many prompt tokens as answer tokens.
_PROMPT, _ANSWER, _REPLAYED = 217.0, 200.0, 1000
_LENGTHS = (
    r"random\s+(\d+)\s*/\s*(\d+)",
    r"(\d+)\s*in\s*/\s*(\d+)\s*out",
    r"random-input-len[ =](\d+)\s+--random-output-len[ =](\d+)",
)
# A page about latency sends few requests at once: four, where it says so.
_FEW = 4


@dataclass(frozen=True)
class Traffic:
    """Requests as they come. None: nobody said."""

    prompt: float = _PROMPT
    answer: float = _ANSWER
    at_once: int | None = None
    """Requests that clients keep going; None: as many as the engine takes."""
    requests: int | None = None
    """How many there are in all; None: they never end."""
    rate: float | None = None
    """Requests a second that clients send at most."""
    offline: bool = False
    """The engine's own class was called: no HTTP server, no tokenizer."""
    cards: int | None = None
    """Cards that the engine was started on."""


def asked(request: Request) -> Traffic:
    """Return the load that a question names: its parallel requests, on and on."""
    settings = request.settings
    return Traffic(at_once=settings.parallel if settings.parallel > 1 else settings.max_seqs)


def read_traffic(case: Mapping[str, Any], request: Request) -> Traffic:
    """Return the load that a recorded run's conditions tell."""
    text = str(case.get("conditions") or "")
    if not text:
        return asked(request)
    lengths = next((m for pattern in _LENGTHS if (m := re.search(pattern, text))), None)
    at_once = _number(r"max-concurrency[ =](\d+)", text) or request.settings.max_seqs
    rate = re.search(r"request-rate[ =](\d+(?:\.\d+)?)", text)
    return Traffic(
        float(lengths[1]) if lengths else _PROMPT,
        float(lengths[2]) if lengths else _ANSWER,
        at_once or (_FEW if "latency" in text else None),
        _number(r"(\d+) prompts", text) or _REPLAYED,
        float(rate[1]) if rate else None,
        bool(re.search(r"\boffline\b", text)),
        _cards(text),
    )


def _cards(text: str) -> int | None:
    """Return on how many cards a command starts an engine, one unless it says; None without a command."""
    if not re.search(r"\b(vllm serve|launch_server|trtllm-serve)\b", text):
        return None
    together = _number(r"(?:-tp|--tp[-_]size|--tensor-parallel-size)[ =](\d+)", text) or 1
    staged = _number(r"(?:-pp|--pp[-_]size|--pipeline-parallel-size)[ =](\d+)", text) or 1
    # With attention alone shared out, the copies live on the same cards.
    copies = _number(r"(?:-dp|--dp-size|--data-parallel-size)[ =](\d+)", text) or 1
    return together * staged * (1 if "dp-attention" in text else copies)


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) or None if found else None
