"""A company's issuer that is reached by the company's proxy alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import pytest

from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.issuer import IssuerAwayError
from aiplat.services.oidc.settings import Client, SignIn
from tests.services.oidc.issuer import TestIssuer

pytestmark = pytest.mark.anyio
OUTSIDE = "http://id.company.test"


class ForwardProxy(ThreadingHTTPServer):
    """Fetches whatever it is asked for from one port of loopback; `seen` is what was asked for."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.to, self.seen = f"http://127.0.0.1:{port}", list[str]()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: ForwardProxy

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Fetch, and hand on what was answered."""
        self.server.seen.append(self.path)
        told = httpx.get(self.server.to + urlsplit(self.path).path)
        self.send_response(told.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told.content)))
        self.end_headers()
        self.wfile.write(told.content)


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    """The way to an issuer whose name nobody here knows."""
    issuer = TestIssuer(redirects={})
    proxy = ForwardProxy(urlsplit(issuer.url).port or 0)
    issuer.url = OUTSIDE
    yield proxy
    proxy.shutdown()
    proxy.server_close()
    issuer.close()


def entry(**more: str) -> Entry:
    """Return the sign-in of a site whose people are the company's."""
    told = {"issuer": OUTSIDE, "url": "https://portal.test", "groups": {"member": ["member"]}, **more}
    return Entry.of(SignIn.model_validate(told), Client("portal", "a secret"))


async def test_the_issuer_is_asked_by_the_proxy_that_the_sign_in_names(proxy: ForwardProxy) -> None:
    """Description and keys come that way; the name is the proxy's to find."""
    found = await entry(proxy=f"http://127.0.0.1:{proxy.server_port}").issuer.endpoints()
    assert found.token.startswith(f"{OUTSIDE}/")
    assert proxy.seen
    assert all(asked.startswith(f"{OUTSIDE}/") for asked in proxy.seen)


async def test_without_the_proxy_it_is_away(proxy: ForwardProxy) -> None:
    """So the proxy is what the way is."""
    with pytest.raises(IssuerAwayError):
        await entry().issuer.endpoints()
    assert proxy.seen == []
