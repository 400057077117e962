"""Records what this host and its pods send to outside of the site; runs on the host alone (Python 3.9+)."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import re
import select
import socket
import struct
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Address = Any
"""An address of either family."""

EVERYTHING = 0x0003
SO_ATTACH_FILTER, SOL_PACKET, PACKET_STATISTICS = 26, 263, 6
OUTGOING = 4
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
NAMES = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMP6: "icmp6"}
# Tunnels between hosts: what is in them is seen where it enters them.
TUNNEL_PORTS = (8472, 51820)
TUNNEL_INTERFACES = ("flannel", "vxlan", "wg", "cilium_vxlan")
MOST_ATTEMPTS = 5000
MOST_REMEMBERED = 8192
LOOK_SECONDS, AT_ONCE_SECONDS = 2.0, 0.2
BUFFER = 16 << 20
POD_LOGS = Path("/var/log/pods")
# What CoreDNS asks at its start to see whether its questions come back to it: two random numbers as a name.
HINFO, LOOP_TEST = 13, re.compile(r"\d+\.\d+")

# (code, if true, if not, value) of a classic BPF program; packets begin at their IP header. It lets through
# what begins a TCP connection, all UDP but the tunnels', and other protocols: data itself costs nothing.
FILTER = (
    (0x28, 0, 0, 0xFFFFF000),  # the protocol of the link
    (0x15, 0, 11, 0x0800),
    (0x30, 0, 0, 9),  # IPv4: its protocol
    (0x15, 0, 5, TCP),
    (0x28, 0, 0, 6),
    (0x45, 20, 0, 0x1FFF),  # a later fragment
    (0xB1, 0, 0, 0),
    (0x50, 0, 0, 13),
    (0x05, 0, 0, 14),  # its flags
    (0x15, 0, 15, UDP),
    (0xB1, 0, 0, 0),
    (0x48, 0, 0, 2),
    (0x05, 0, 0, 8),  # its port
    (0x15, 0, 12, 0x86DD),
    (0x30, 0, 0, 6),  # IPv6: its next header
    (0x15, 0, 2, TCP),
    (0x30, 0, 0, 53),
    (0x05, 0, 0, 5),  # its flags
    (0x15, 0, 6, UDP),
    (0x28, 0, 0, 42),
    (0x05, 0, 0, 0),  # its port
    (0x15, 4, 0, TUNNEL_PORTS[0]),
    (0x15, 3, 2, TUNNEL_PORTS[1]),
    (0x54, 0, 0, 0x17),  # flags: a SYN alone
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


class Packet(NamedTuple):
    """What one packet says: who, to whom, by what, and what tells it from others."""

    source: Address
    destination: Address
    protocol: int
    source_port: int
    port: int
    name: str
    wanted: int
    mark: bytes


class Who(NamedTuple):
    """Whose packet it is, as far as this host knows."""

    pod: str
    process: str
    unit: str


def tell(document: dict[str, Any]) -> None:
    """Send one JSON line to the operator's side."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def opened() -> socket.socket:
    """Return a socket that hears what passes any interface, filtered by the kernel."""
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERYTHING))
    program = b"".join(struct.pack("HBBI", *one) for one in FILTER)
    kept = ctypes.create_string_buffer(program)
    heard.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(FILTER), ctypes.addressof(kept))
    )
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    return heard


def parsed(data: bytes) -> Packet | None:
    """Return what a packet says, None for what is not an IP packet or is cut."""
    try:
        if data[0] >> 4 == 4:
            start, protocol = (data[0] & 15) * 4, data[9]
            source, destination, mark = data[12:16], data[16:20], data[4:6]
        else:
            start, protocol = 40, data[6]
            source, destination, mark = data[8:24], data[24:40], data[1:4]
        rest = data[start:]
        ports: tuple[int, int] = struct.unpack("!HH", rest[:4]) if protocol in (TCP, UDP) else (0, 0)
    except (IndexError, struct.error):
        return None
    # What stays the same when the host writes its own address over a pod's: not the source, not checksums.
    told = {TCP: rest[2:8], UDP: rest[2:4] + rest[8:64]}.get(protocol, rest[4:64])
    name, wanted = question(rest[8:]) if protocol == UDP and ports[1] == 53 else ("", 0)
    if protocol in (ICMP, ICMP6) and rest[:1] not in (b"\x08", b"\x80"):
        return None  # an answer, a neighbour's question
    who, whom = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    return Packet(who, whom, protocol, ports[0], ports[1], name, wanted, mark + told)


def question(message: bytes) -> tuple[str, int]:
    """Return the name that a DNS message asks for and the type of record, "" and 0 if it asks for none."""
    if len(message) < 13 or message[2] & 0x80:
        return "", 0
    labels: list[str] = []
    at = 12
    while at < len(message) and 0 < message[at] < 64 and len(labels) < 128:
        label = message[at + 1 : at + 1 + message[at]]
        labels.append("".join(chr(c) if 32 < c < 127 else "?" for c in label))
        at += 1 + message[at]
    return ".".join(labels).lower(), int.from_bytes(message[at + 1 : at + 3], "big")


def local_addresses(process: str) -> set[str]:
    """Return the addresses of the network namespace that a process is in."""
    found: set[str] = set()
    try:
        trie = Path("/proc", process, "net/fib_trie").read_text()
        found.update(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", trie))
        for line in Path("/proc", process, "net/if_inet6").read_text().splitlines():
            found.add(str(ipaddress.ip_address(bytes.fromhex(line.split()[0]))))
    except (OSError, ValueError, IndexError):
        pass  # it has ended, or there is no IPv6
    return found


def processes() -> Iterator[str]:
    """Yield the ids of all processes."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            yield path.name


class PodNetworks:
    """Which network namespace has which address, and whose it is; looked at again when one is not known."""

    def __init__(self) -> None:
        self.here = namespace_of("self")
        self.owners: dict[str, tuple[str, str]] = {}
        self._looked = 0.0

    def look(self, every: float = LOOK_SECONDS) -> None:
        """Read all namespaces, but not more often than `every` so many seconds."""
        if time.monotonic() - self._looked < every:
            return
        self._looked = time.monotonic()
        seen = {self.here, ""}
        for process in processes():
            namespace = namespace_of(process)
            if namespace in seen:
                continue
            seen.add(namespace)
            pod = pod_of(process)
            for address in local_addresses(process):
                if not address.startswith(("127.", "::1", "fe80:")):
                    self.owners[address] = (process, pod)

    def owner(self, address: str) -> tuple[str, str]:
        """Return a process in the namespace that has an address, and the pod's name."""
        if address not in self.owners or not namespace_of(self.owners[address][0]):
            self.look(AT_ONCE_SECONDS)
        return self.owners.get(address, ("", ""))


def namespace_of(process: str) -> str:
    """Return the network namespace of a process, "" if it has ended."""
    try:
        return str(Path("/proc", process, "ns/net").readlink())
    except OSError:
        return ""


def pod_of(process: str) -> str:
    """Return `namespace/name` of the pod that a process belongs to, "" if to none that is known."""
    found = re.search(r"pod([0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12})", cgroup(process))
    if not found:
        return ""
    uid = found[1].replace("_", "-")
    # The kubelet names the folder of a pod's logs after it.
    for folder in POD_LOGS.glob(f"*_{uid}"):
        namespace, _, rest = folder.name.partition("_")
        return f"{namespace}/{rest.rpartition('_')[0]}"
    return f"pod {uid}"


def cgroup(process: str) -> str:
    """Return the path of a process' control group."""
    return told_of(process, "cgroup")


def told_of(process: str, name: str) -> str:
    """Return what a file of a process says, "" if it has ended."""
    try:
        return Path("/proc", process, name).read_text()
    except OSError:
        return ""


def who(packet: Packet, near: str, pods: PodNetworks) -> Who:
    """Return whose packet it is: the pod by its address, the process by the socket that has its port."""
    process = holder(inode(packet, near or "self"), pods, near)
    pod = pod_of(process) if process else ""
    unit = re.search(r"([^/\n]+\.(?:service|scope))", cgroup(process)) if process and not pod else None
    return Who(pod, command(process), unit[1] if unit else "")


def command(process: str) -> str:
    """Return the name of a process' program."""
    return "".join(c for c in told_of(process, "comm").strip() if c.isprintable())


def inode(packet: Packet, near: str) -> str:
    """Return the socket that sends from a packet's port, "" where it is gone or has none."""
    kind = NAMES.get(packet.protocol, "")
    for table in (kind, f"{kind}6"):
        for fields in map(str.split, told_of(near, f"net/{table}").splitlines()[1:]):
            if int(fields[1].rpartition(":")[2], 16) == packet.source_port and fields[9] != "0":
                return fields[9]
    return ""


def holder(wanted: str, pods: PodNetworks, near: str) -> str:
    """Return a process that has a socket open."""
    if not wanted:
        return ""
    namespace = namespace_of(near) if near else pods.here
    for process in processes():
        if namespace_of(process) != namespace:
            continue
        try:
            for handle in Path("/proc", process, "fd").iterdir():
                if str(handle.readlink()) == f"socket:[{wanted}]":
                    return process
        except OSError:
            continue
    return ""


class Recorder:
    """Counts what begins here and goes to outside of the site."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.inside = [ipaddress.ip_network(one) for one in asked["inside"]]
        self.pods_in = [ipaddress.ip_network(one) for one in asked["pods"]]
        self.names = tuple(asked["names"])
        self.own = {ipaddress.ip_address(one) for one in local_addresses("self")}
        self.pods = PodNetworks()
        self.attempts: dict[tuple[str, ...], dict[str, Any]] = {}
        self.more = self.lost = 0
        self._seen: OrderedDict[Any, dict[str, Any] | None] = OrderedDict()
        self._answers: OrderedDict[Any, None] = OrderedDict()
        self._asked_by: dict[tuple[str, ...], Who] = {}

    def take(self, data: bytes, interface: str, kind: int) -> None:
        """Count a packet if it is an attempt to leave."""
        packet = parsed(data)
        if packet is None or interface.startswith(TUNNEL_INTERFACES):
            return
        if not self._from_here(packet.source):
            self._remember(
                self._answers, (packet.source, packet.protocol, packet.source_port, packet.port), None
            )
            return
        outside = self._outside(packet.destination)
        if not outside and (not self._asks_outside(packet.name) or self._loop_test(packet)):
            return
        if (packet.destination, packet.protocol, packet.port, packet.source_port) in self._answers:
            return
        # A packet passes several interfaces: what was seen before is looked at for one thing, that it left.
        mark = (packet.mark, packet.name) if not outside else (packet.destination, packet.mark)
        if mark not in self._seen:
            self._remember(self._seen, mark, self._count(packet, outside))
        row = self._seen[mark]
        if row is not None and outside and kind == OUTGOING:
            row["left"] += 1
            self._seen[mark] = None

    def _count(self, packet: Packet, outside: bool) -> dict[str, Any] | None:
        key = self._key(packet, outside)
        row = self.attempts.get(key)
        if row is None:
            if len(self.attempts) >= MOST_ATTEMPTS:
                self.more += 1
                return None
            row = self.attempts[key] = self._row(packet, key)
        row["tried"] += 1
        row["last"] = time.time()
        return row

    def _key(self, packet: Packet, outside: bool) -> tuple[str, ...]:
        source = str(packet.source)
        who_key = (source, str(packet.protocol), str(packet.source_port))
        near, pod = ("", "") if packet.source in self.own else self.pods.owner(source)
        if who_key not in self._asked_by or not self._asked_by[who_key].process:
            self._asked_by[who_key] = who(packet, near, self.pods)
        if len(self._asked_by) > MOST_REMEMBERED:
            self._asked_by.pop(next(iter(self._asked_by)))
        asked, kind = self._asked_by.get(who_key, Who("", "", "")), "connection" if outside else "name"
        where = (str(packet.destination), NAMES.get(packet.protocol, str(packet.protocol)), str(packet.port))
        return (kind, source, asked.pod or pod, asked.process, asked.unit, *where, packet.name)

    def _row(self, packet: Packet, key: tuple[str, ...]) -> dict[str, Any]:
        names = ("kind", "source", "pod", "process", "unit", "destination", "protocol", "port", "name")
        row: dict[str, Any] = {name: key[number] for number, name in enumerate(names)}
        return {**row, "port": packet.port, "tried": 0, "left": 0, "first": time.time(), "last": 0.0}

    def _from_here(self, address: Address) -> bool:
        return address in self.own or any(address in network for network in self.pods_in)

    def _outside(self, address: Address) -> bool:
        if address.is_multicast or address.is_loopback or address.is_link_local or address.is_unspecified:
            return False
        if str(address) == "255.255.255.255" or address in self.own:
            return False
        return not any(address in network for network in self.inside)

    def _asks_outside(self, name: str) -> bool:
        if not name or name.endswith((".in-addr.arpa", ".ip6.arpa")):
            return False
        return not any(name == inside or name.endswith(f".{inside}") for inside in self.names)

    def _loop_test(self, packet: Packet) -> bool:
        """Whether CoreDNS asks this host if it asks itself; a resolver here that passes it on is seen."""
        asked_itself = packet.wanted == HINFO and packet.destination in self.own
        return asked_itself and bool(LOOP_TEST.fullmatch(packet.name))

    @staticmethod
    def _remember(remembered: OrderedDict[Any, Any], key: Any, value: Any) -> None:
        remembered[key] = value
        if len(remembered) > MOST_REMEMBERED:
            remembered.popitem(last=False)

    def report(self) -> dict[str, Any]:
        """Return what was counted."""
        return {"attempts": list(self.attempts.values()), "more": self.more, "lost": self.lost}


def record(recorder: Recorder, heard: socket.socket, until: Any) -> None:
    """Count until the other side says something or goes away."""
    while True:
        ready, _, _ = select.select([heard, until], [], [], LOOK_SECONDS)
        if until in ready:
            return
        if heard in ready:
            data, (interface, _, kind, _, _) = heard.recvfrom(2048)
            recorder.take(data, interface, kind)
        # Pods are known before they try something: one may be gone soon after.
        recorder.pods.look()


def main() -> None:
    """Record for the operator's side: its wishes are one JSON line, and its next word ends it."""
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        heard = opened()
    except OSError as error:
        said = f"its packets cannot be read ({error.strerror})"
        tell({"error": said, "fix": "it takes root and CAP_NET_RAW"})
        return
    recorder = Recorder(asked)
    recorder.pods.look()
    tell({"ready": True})
    record(recorder, heard, sys.stdin.buffer)
    _, recorder.lost = struct.unpack("II", heard.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    tell(recorder.report())


if __name__ == "__main__":
    main()
