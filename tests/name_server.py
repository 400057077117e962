"""Asks a name server by UDP, as a machine does that wants to reach a name."""

from __future__ import annotations

import socket
import struct

from tests.patience import PATIENCE

A, AAAA, TXT = 1, 28, 16
"""Types of records."""
NOERROR, REFUSED = 0, 5
"""Codes of answers."""


def ask(address: str, port: int, name: str, kind: int) -> tuple[int, list[str]]:
    """Ask a name server for a name (RFC 1035, 4.1); return the answer's code and its addresses."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(PATIENCE)
        asked.sendto(question, (address, port))
        answer = asked.recv(1232)
    _, flags, _, count, _, _ = struct.unpack(">HHHHHH", answer[:12])
    # CoreDNS repeats the name in each record, whole: type, class, lifetime and length are behind it.
    head = len(question) - 12 - 4 + 10
    return flags & 15, _addresses(answer[len(question) :], count, head)


def _addresses(records: bytes, count: int, head: int) -> list[str]:
    found = []
    for _ in range(count):
        size = struct.unpack(">H", records[head - 2 : head])[0]
        data, records = records[head : head + size], records[head + size :]
        found.append(socket.inet_ntop(socket.AF_INET if size == 4 else socket.AF_INET6, data))
    return found
