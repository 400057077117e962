"""What lets pages of other origins use the APIs from a browser: a setting says which; all need a key."""

from __future__ import annotations

from collections.abc import Iterable

Header = tuple[bytes, bytes]

_METHODS = b"GET, HEAD, POST, DELETE"
_SEEN = (
    b"x-request-id, x-aiplat-request-id, x-aiplat-model, x-aiplat-left-out, x-aiplat-max-tokens, retry-after"
)
_DAY = b"86400"
_MOST_NAMED = 1024


class Cors:
    """The origins whose pages may ask and read answers; `*` stands for all.

    Keys come in a header that a page must know, never by themselves as cookies do: a page without a key gets
    nothing by being let in, so letting in all is not a danger to those who have one.
    """

    def __init__(self, origins: Iterable[str] = ()) -> None:
        allowed = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._all = "*" in allowed
        self._origins = frozenset(origin.encode() for origin in allowed)

    def headers(self, asked: dict[bytes, bytes]) -> list[Header]:
        """Return what an answer to a page says; nothing for other clients, and for pages that may not ask."""
        origin = asked.get(b"origin")
        if origin is None or not self._allows(origin):
            return []
        allowed = b"*" if self._all else origin
        found = [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", _SEEN)]
        return found if self._all else [*found, (b"vary", b"origin")]

    def preflight(self, method: str, asked: dict[bytes, bytes]) -> list[Header] | None:
        """Return the answer to a browser that asks whether a page may ask; None for any other request."""
        if method != "OPTIONS" or b"access-control-request-method" not in asked:
            return None
        if not (found := self.headers(asked)):
            return None
        wanted = asked.get(b"access-control-request-headers", b"authorization, content-type")
        safe = wanted if len(wanted) <= _MOST_NAMED else b"authorization, content-type"
        found += [(b"access-control-allow-methods", _METHODS), (b"access-control-allow-headers", safe)]
        if asked.get(b"access-control-request-private-network") == b"true":
            found.append((b"access-control-allow-private-network", b"true"))
        return [*found, (b"access-control-max-age", _DAY)]

    def _allows(self, origin: bytes) -> bool:
        return self._all or origin.lower() in self._origins
