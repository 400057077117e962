"""Sends a Kubernetes client another way than to its kubeconfig's address; who is spoken to stays the same."""

from __future__ import annotations

from urllib.parse import urlsplit

from kubernetes import client

from aiplat.site.addresses import in_url
from aiplat.site.way import Way

_HTTPS_PORT = 443


def go(settings: client.Configuration, way: Way) -> None:
    """Change where a client connects; the server's certificate still has to speak for the former name.

    Raises:
        AiplatError: there is no way there.
    """
    named = urlsplit(settings.host)
    before = named.hostname or "", named.port or _HTTPS_PORT
    host, port = way.to(*before)
    if (host, port) != before:
        settings.tls_server_name = settings.tls_server_name or named.hostname
        settings.host = f"{named.scheme}://{in_url(host)}:{port}"
