"""A YAML file as plain values that remember their lines; what they must mean is in aiplat.site.rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from aiplat.site.findings import Path, SiteFinding, finding_at, render_path


@dataclass
class YamlDocument:
    """The values of one file, where each stands (line, column), and what was wrong with the YAML itself."""

    file: str
    folder: FilePath
    text: str
    data: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    findings: list[SiteFinding] = field(default_factory=list)

    def finding(self, path: Path, problem: str, fix: str = "") -> SiteFinding:
        """Return a finding at `path`; a path that is not in the file gets its nearest parent's line."""
        at = path
        while at and at not in self.places:
            at = at[:-1]
        return finding_at(self.file, self.places.get(at, (1, 1))[0], 0, (problem, fix), render_path(path))

    def at(self, *path: str | int) -> Any:
        """Return the value at `path`, or None where nothing (or nothing of that shape) is."""
        value = self.data
        for part in path:
            if isinstance(part, str) and isinstance(value, dict):
                value = value.get(part)
            elif isinstance(part, int) and isinstance(value, list) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def maps(self, *path: str | int) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield path and value of every map in the list at `path`; refusing others is the shape's."""
        value = self.at(*path)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, dict):
                yield (*path, index), item

    def entries(self, *path: str | int) -> Iterator[tuple[Path, Any]]:
        """Yield path and value of every entry of the map at `path`."""
        value = self.at(*path)
        for key, item in value.items() if isinstance(value, dict) else ():
            yield (*path, key), item

    def walk(self) -> Iterator[tuple[Path, Any]]:
        """Yield path and value of everything in the file, parents first."""
        pending: list[tuple[Path, Any]] = [((), self.data)]
        while pending:
            path, value = pending.pop()
            yield path, value
            children = value.items() if isinstance(value, dict) else ()
            items = enumerate(value) if isinstance(value, list) else ()
            pending.extend(reversed([((*path, k), v) for k, v in (*children, *items)]))
