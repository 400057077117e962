"""Tells how a host is named and joined to its networks, and who uses the ports; runs there, only looks."""

from __future__ import annotations

import concurrent.futures
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND_SECONDS = 5
REACH_SECONDS = 2.0
LISTEN, ANY = "0A", "07"  # states in /proc/net/tcp and udp
HEX_V4 = 8


def read(path: Path) -> str:
    """Return a file's text, or nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def output(*argv: str, seconds: float = COMMAND_SECONDS) -> str:
    """Return a command's output, or nothing where it is missing, fails or hangs."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def listed(*argv: str) -> list[dict[str, Any]]:
    """Return what `ip -j` lists."""
    text = output("ip", "-j", *argv)
    return [entry for entry in json.loads(text) if entry] if text.strip() else []


def links() -> list[dict[str, Any]]:
    """Return the network cards with their addresses."""
    return [
        {
            "name": link["ifname"],
            "mac": link.get("address", ""),
            "mtu": link.get("mtu", 0),
            "up": "UP" in link.get("flags", ()),
            "wireless": Path("/sys/class/net", link["ifname"], "wireless").exists(),
            "addresses": [
                f"{a['local']}/{a['prefixlen']}" for a in link.get("addr_info", ()) if "local" in a
            ],
            "accept_ra": read(Path("/proc/sys/net/ipv6/conf", link["ifname"], "accept_ra")).strip(),
            "dynamic": any(a.get("dynamic") and a.get("family") == "inet" for a in link.get("addr_info", ())),
        }
        for link in listed("address", "show")
    ]


def routes() -> list[dict[str, Any]]:
    """Return the routes of the main tables."""
    found = [*listed("route", "show"), *listed("-6", "route", "show")]
    return [
        {
            "to": route.get("dst", ""),
            "via": route.get("gateway", ""),
            "link": route.get("dev", ""),
            "metric": route.get("metric", 0),
            "advertised": route.get("protocol") == "ra",
        }
        for route in found
    ]


def resolver(root: Path) -> dict[str, Any]:
    """Return the name servers and search domains; behind a stub those it asks itself."""
    texts = {"": read(root / "etc/resolv.conf"), "_behind": read(root / "run/systemd/resolve/resolv.conf")}
    found: dict[str, Any] = {
        f"nameservers{of}": re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)
        for of, text in texts.items()
    }
    search = re.findall(r"^(?:search|domain)\s+(.+)$", texts[""], re.MULTILINE)
    return {**found, "search": search[-1].split() if search else []}


def resolved(name: str) -> list[str]:
    """Return the addresses that the host's own name has there."""
    return sorted({line.split()[0] for line in output("getent", "ahosts", name, seconds=3).splitlines()})


def sockets(root: Path, wanted: set[str]) -> list[tuple[str, str]]:
    """Return the wanted ports (`6443/tcp`) that are taken, each with the number of its socket."""
    found = []
    for protocol, state in (("tcp", LISTEN), ("udp", ANY)):
        for name in (protocol, f"{protocol}6"):
            for fields in (line.split() for line in read(root / "proc/net" / name).splitlines()[1:]):
                port = f"{int(fields[1].rpartition(':')[2], 16)}/{protocol}"
                if fields[3] == state and port in wanted:
                    found.append((port, fields[9]))
    return found


def holders(root: Path, inodes: set[str]) -> dict[str, str]:
    """Return the name of the program behind each socket."""
    found: dict[str, str] = {}
    for folder in root.glob("proc/[0-9]*/fd") if inodes else ():
        try:
            targets = [str(entry.readlink()) for entry in folder.iterdir()]
        except OSError:
            continue
        for inode in inodes.intersection(t[8:-1] for t in targets if t.startswith("socket:[")):
            found.setdefault(inode, read(folder.parent / "comm").strip())
    return found


def ports(root: Path, wanted: list[str]) -> dict[str, str]:
    """Return the wanted ports that are taken and the programs that have them."""
    taken = sockets(root, set(wanted))
    by = holders(root, {inode for _, inode in taken})
    return {port: by.get(inode, "") for port, inode in taken}


def reach(peer: str) -> str:
    """Return how a port of another host answers: `open`, `closed` (the host does), or why not."""
    address, _, port = peer.rpartition(":")
    try:
        socket.create_connection((address.strip("[]"), int(port)), timeout=REACH_SECONDS).close()
    except ConnectionRefusedError:
        return "closed"
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror or "no way there"
    return "open"


def firewall(root: Path) -> dict[str, Any]:
    """Return which iptables there is, and what is configured to fence the host off."""
    version = output("iptables", "--version").strip()
    return {
        "iptables": version,
        "legacy_tables": read(root / "proc/net/ip_tables_names").split(),
        "ufw_enabled": bool(re.search(r"^ENABLED=yes", read(root / "etc/ufw/ufw.conf"), re.MULTILINE)),
        "firewalld_flushes": not re.search(
            r"^FlushAllOnReload=no", read(root / "etc/firewalld/firewalld.conf"), re.MULTILINE
        ),
    }


def leftover_rules() -> int:
    """Return how many rules and chains of a Kubernetes are in the kernel."""
    texts = output("iptables-save") + output("iptables-legacy-save")
    return len(re.findall(r"^:(?:KUBE|CNI|FLANNEL)-", texts, re.MULTILINE))


def names(root: Path) -> dict[str, Any]:
    """Return what tells this host from others."""
    return {
        "hostname": socket.gethostname(),
        "machine_id": read(root / "etc/machine-id").strip(),
        "product_uuid": read(root / "sys/class/dmi/id/product_uuid").strip(),
        "networkmanager_spares": bool(
            re.search(
                r"^unmanaged-devices=.*(cni|flannel)",
                "\n".join(read(path) for path in sorted(root.glob("etc/NetworkManager/conf.d/*.conf"))),
                re.MULTILINE,
            )
        ),
    }


def facts(root: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return all of it. `ports` and `peers` are what to ask for; hosts that run aiplat are asked less."""
    fresh = not (root / "var/lib/aiplat/ledger.json").exists()
    peers = arguments.get("peers", []) if fresh or arguments.get("thorough") else []
    with concurrent.futures.ThreadPoolExecutor(max_workers=32) as pool:
        address, route, fence = pool.submit(links), pool.submit(routes), pool.submit(firewall, root)
        rules = pool.submit(leftover_rules) if fresh else None
        own = pool.submit(resolved, socket.gethostname()) if fresh or arguments.get("thorough") else None
        answers = list(pool.map(reach, peers))
        return {
            **names(root),
            **resolver(root),
            **fence.result(),
            "own_addresses": own.result() if own else None,
            "links": address.result(),
            "routes": route.result(),
            "ports": ports(root, arguments.get("ports", [])) if fresh else {},
            "peers": dict(zip(peers, answers)),  # noqa: B905 - Python 3.9 has no strict
            "leftover_chains": rules.result() if rules else 0,
        }


if __name__ == "__main__":
    json.dump(facts(Path("/"), {}), sys.stdout)
