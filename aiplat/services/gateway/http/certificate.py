"""When a certificate ends, by the standard library: a handshake in memory with a client that trusts it."""

from __future__ import annotations

import ssl
from pathlib import Path

_FLIGHTS = 4


def ends_at(certificate: Path, key: Path) -> float:
    """Return when a server's certificate ends, in seconds since 1970; 0 where no client could use it.

    Raises:
        OSError: certificate and key cannot be read, or do not belong together.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(certificate, key)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    try:
        found = _shaken(server, client).getpeercert() or {}
    except ssl.SSLError:
        return 0.0
    return float(ssl.cert_time_to_seconds(str(found["notAfter"])))


def _shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(here, there, server_side=False)
    answers = server.wrap_bio(there, here, server_side=True)
    for _ in range(_FLIGHTS):
        done = True
        for side in (asks, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                done = False
        if done:
            break
    return asks
