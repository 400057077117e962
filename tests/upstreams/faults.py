"""What an upstream can do wrong, each as a function of the request and the right answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiplat.content import canonical_json
from tests.upstreams.exchange import Reply, Request

Act = Callable[[Request, Reply], Reply]


@dataclass
class Fault:
    """One thing that goes wrong at one host, on paths that match, the first `times` times (None: always)."""

    host: str
    pattern: str
    act: Act
    times: int | None = None

    def applies(self, request: Request) -> bool:
        """Say whether this request gets it, and count it."""
        hit = request.host == self.host and re.search(self.pattern, request.path) is not None
        if not hit or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def tampered(request: Request, reply: Reply) -> Reply:
    """One bit in the middle of the body is another; its length stays."""
    content = bytearray(reply.content(0, reply.size))
    content[len(content) // 2] ^= 1
    return reply.but(body=bytes(content))


def cut(after: int) -> Act:
    """The connection ends after so many bytes of the body."""
    return lambda _, reply: reply.but(cut_after=after)


def held(after: int) -> Act:
    """Nothing more comes after so many bytes of the body."""
    return lambda _, reply: reply.but(hold_after=after)


def shortened(request: Request, reply: Reply) -> Reply:
    """The body is complete by its Content-Length, but lacks its second half."""
    return reply.but(body=reply.content(0, reply.size // 2))


def status(code: int, body: bytes = b"", **headers: str) -> Act:
    """Another status than the right one; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda *_: Reply(code, {"Content-Type": "text/plain", **named}, body)


def rate_limited(seconds: int | None, at: datetime | None = None) -> Act:
    """429 in the words of Docker Hub; with Retry-After in seconds or as a date, or without."""
    document = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}
    headers = {"Content-Type": "application/json"}
    if at is not None:
        headers["Retry-After"] = at.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    elif seconds is not None:
        headers["Retry-After"] = str(seconds)
    return lambda *_: Reply(429, headers, canonical_json(document))


def redirected(location: str, code: int = 302) -> Act:
    """It leads elsewhere."""
    return lambda *_: Reply.redirect(location, code)


def looping(request: Request, reply: Reply) -> Reply:
    """It leads to itself."""
    return Reply.redirect(f"https://{request.host}{request.target}")


def media_type(name: str) -> Act:
    """The body is right, its Content-Type is another."""
    return lambda _, reply: reply.but(headers={**reply.headers, "Content-Type": name})


def without(header: str) -> Act:
    """One header is not there."""
    kept = header.lower()
    return lambda _, reply: reply.but(headers={n: v for n, v in reply.headers.items() if n.lower() != kept})


def replaced(body: bytes) -> Act:
    """The body is another, all else stays."""
    return lambda _, reply: reply.but(body=body)


def log_in_page(request: Request, reply: Reply) -> Reply:
    """A network that wants people to log in first answers 200 with a page of its own."""
    page = b"<!DOCTYPE html><html><title>Welcome to the guest network</title></html>"
    return Reply(200, {"Content-Type": "text/html; charset=utf-8"}, page)
