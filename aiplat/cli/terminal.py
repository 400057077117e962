"""The console of every verb: what others wrote reaches the terminal without control characters."""

from __future__ import annotations

from collections.abc import Iterable

from rich import console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

_KEPT = "\n\t"


class Console(console.Console):
    """rich's console; texts of bundles, hosts and services cannot move its cursor or paint over lines."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments, of which those with text have visible characters alone."""
        for segment in super().render(renderable, options):
            if segment.control or _visible(segment.text):
                yield segment
            else:
                yield Segment(escaped(segment.text), segment.style)


def _visible(text: str) -> bool:
    return text.isprintable() or all(c.isprintable() or c in _KEPT for c in text)


def escaped(text: str) -> str:
    """Return a text with its control characters written out."""
    shown = (c if c.isprintable() or c in _KEPT else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)
