"""Pages of other origins: who may ask is a setting, and a key is needed all the same."""

from __future__ import annotations

import pytest

from aiplat.services.gateway.http.cors import Cors

ASKED = {b"origin": b"https://chat.example", b"access-control-request-method": b"POST"}


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        (("*",), b"*"),
        (("https://chat.example/",), b"https://chat.example"),
        (("https://other.example",), None),
        ((), None),
    ],
)
def test_an_origin_that_is_named_may_ask(origins: tuple[str, ...], allowed: bytes | None) -> None:
    """A preflight has no key; others are answered as if they were not from a browser."""
    answer = Cors(origins).preflight("OPTIONS", ASKED)
    assert (dict(answer)[b"access-control-allow-origin"] if answer else None) == allowed
    assert Cors(origins).headers({}) == []


def test_a_preflight_allows_the_headers_that_a_page_names() -> None:
    """But no endless list of them."""
    asked = {**ASKED, b"access-control-request-headers": b"authorization,x-stainless-os"}
    allowed = dict(Cors(["*"]).preflight("OPTIONS", asked) or [])
    assert allowed[b"access-control-allow-headers"] == b"authorization,x-stainless-os"
    long = {**ASKED, b"access-control-request-headers": b"x," * 5000}
    assert len(dict(Cors(["*"]).preflight("OPTIONS", long) or [])[b"access-control-allow-headers"]) < 100


def test_what_is_no_preflight_is_answered_as_ever() -> None:
    """Without the browser's question, or with another method."""
    assert Cors(["*"]).preflight("POST", ASKED) is None
    assert Cors(["*"]).preflight("OPTIONS", {b"origin": b"https://chat.example"}) is None
    assert dict(Cors(["*"]).headers(ASKED))[b"access-control-allow-origin"] == b"*"
