"""What a server is asked and what it answers; how that travels is the server's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from aiplat.content import canonical_json


@dataclass(frozen=True)
class Request:
    """One request; `host` is the upstream it was meant for, `target` path and query as they came."""

    method: str
    host: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query, each name once."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True)
class Reply:
    """One answer; a body may be a file. The server sees to ranges and HEAD.

    `cut_after` ends the connection after so many bytes of the body, `hold_after` sends nothing more until
    the server is stopped.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Path = b""
    cut_after: int | None = None
    hold_after: int | None = None

    @classmethod
    def json(cls, document: Any, status: int = 200, **headers: str) -> Self:
        """Return an answer that is a JSON document; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"Content-Type": "application/json", **named}, canonical_json(document))

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Self:
        """Return an answer that leads elsewhere."""
        return cls(status, {"Location": location})

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return self.body.stat().st_size if isinstance(self.body, Path) else len(self.body)

    def content(self, start: int, end: int) -> bytes:
        """Return the bytes `start` to `end` (not included) of the body."""
        if isinstance(self.body, bytes):
            return self.body[start:end]
        with self.body.open("rb") as stream:
            stream.seek(start)
            return stream.read(end - start)

    def but(self, **changes: Any) -> Reply:
        """Return the same answer with some things different."""
        return replace(self, **changes)


Service = Callable[[Request], Reply]
"""What answers for one upstream host."""

NOT_FOUND = Reply(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
