"""How connections to addresses of a site go: straight, or to another end that leads there; opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

# The image of the gateway and the operator has this room, and not that of sites.
if TYPE_CHECKING:
    from aiplat.site.models import Host

SSH_PORT = 22
_HTTPS_PORT = 443
End = tuple[str, int]


class Way(Protocol):
    """Says where to connect in place of an address of the site; who is spoken to stays the same."""

    def to(self, address: str, port: int) -> End:
        """Return where to connect so as to reach a port of an address.

        Raises:
            AiplatError: there is no way there; the finding says why.
        """
        ...

    def to_ssh(self, host: Host) -> End:
        """Return where a host's ssh server is reached.

        Raises:
            AiplatError: there is no way there; the finding says why.
        """
        ...


class _Straight:
    """Every address is reached as it is."""

    def to(self, address: str, port: int) -> End:
        return address, port

    def to_ssh(self, host: Host) -> End:
        return host.address, host.ssh.port or SSH_PORT


STRAIGHT: Way = _Straight()


def request_hooks(url: str, way: Way) -> dict[str, list[Callable[[Any], None]]]:
    """Return the `event_hooks` with which an HTTP client of `url` goes that way.

    They fit httpx and what has its interface. Host header and certificate stay those of the URL's name.

    Raises:
        AiplatError: there is no way there.
    """
    named = urlsplit(url)
    wanted = named.hostname or "", named.port or _HTTPS_PORT
    host, port = way.to(*wanted)
    if (host, port) == wanted:
        return {}

    def reroute(request: Any) -> None:
        request.extensions["sni_hostname"] = named.hostname
        request.url = request.url.copy_with(host=host, port=port)

    return {"request": [reroute]}


def go(settings: Any, way: Way) -> None:
    """Change where a Kubernetes client with these settings connects; certificates are checked as before.

    Raises:
        AiplatError: there is no way there.
    """
    named = urlsplit(settings.host)
    before = named.hostname or "", named.port or _HTTPS_PORT
    host, port = way.to(*before)
    if (host, port) != before:
        settings.tls_server_name = settings.tls_server_name or named.hostname
        settings.host = f"{named.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
