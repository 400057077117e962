"""Counts, records and drops whatever a lab sends outside, in an nftables table of the lab's own."""

from __future__ import annotations

from typing import Any

from aiplat.lab.driver import Attempt, EgressReport
from aiplat.lab.names import LabNetwork, bridge_mac, bridge_name, table_name
from aiplat.lab.tools import attempt, run, run_json

_NO_BEGINNING = "tcp flags & (fin | syn | rst | ack) != syn"
_NEIGHBOURS = "{ nd-neighbor-solicit, nd-neighbor-advert }"
# Who tried what; the second is there where hosts have IPv6 addresses.
_SETS = {"attempts": "ip", "attempts6": "ip6"}


def _set(name: str, family: str) -> str:
    address = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}[family]
    return f"""  set {name} {{
    type {address} . {address} . inet_proto . inet_service
    size 65535
    flags dynamic
    counter
  }}
"""


def _recording(name: str, family: str) -> str:
    whom = f"{family} saddr . {family} daddr . meta l4proto"
    return f"""
    meta l4proto {{ tcp, udp, sctp }} add @{name} {{ {whom} . th dport }}
    meta l4proto != {{ tcp, udp, sctp }} add @{name} {{ {whom} . 0 }}"""


def ruleset(lab: str, network: LabNetwork) -> str:
    """Return the lab's table as nft reads it.

    Everything a host sends outside is addressed to the bridge's own hardware address, so that address, not
    the subnet, tells it from traffic between hosts (which br_netfilter also shows to these hooks, pod
    addresses and all). The hook is prerouting: a machine that does not forward drops packets before its
    forward hook.
    """
    bridge, mac = bridge_name(lab), bridge_mac(lab)
    late = "".join(
        f'\n    {family} daddr {gateway.partition("/")[0]} {_NO_BEGINNING} drop comment "late answers"'
        for (_, family), gateway in zip(_SETS.items(), network.gateways, strict=False)
    )
    named = list(zip(_SETS.items(), network.gateways, strict=False))
    sets = "".join(_set(*each) for each, _ in named)
    recorded = "".join(_recording(*each) for each, _ in named)
    # By these hosts and bridge find each other's hardware address; they go no further than the link.
    near = f'\n    iifname "{bridge}" icmpv6 type {_NEIGHBOURS} accept' if network.subnet6 else ""
    return f"""
table inet {table_name(lab)} {{
  counter egress {{ }}
{sets}  chain between_hosts {{
    comment "two labs may use the same pod addresses: keep them out of this machine's connection table"
    type filter hook prerouting priority raw; policy accept;
    iifname "{bridge}" ether daddr != {mac} notrack
  }}
  chain outward {{
    type filter hook prerouting priority mangle; policy accept;
    iifname != "{bridge}" accept
    ether daddr != {mac} accept{near}
    ct state established,related accept comment "answers to this machine's own connections"{late}
    counter name egress{recorded}
    drop
  }}
  chain delivered {{
    type filter hook input priority filter; policy accept;
    iifname "{bridge}" ct state established,related accept{near}
    iifname "{bridge}" drop
  }}
  chain through {{
    type filter hook forward priority filter; policy accept;
    iifname "{bridge}" oifname != "{bridge}" drop
    iifname != "{bridge}" oifname "{bridge}" drop
  }}
}}
"""


def make_table(lab: str, network: LabNetwork) -> bool:
    """Load the lab's table unless it is there (its counts are kept); return whether it had to be loaded."""
    if table_exists(lab):
        return False
    run("nft", "-f", "-", given=ruleset(lab, network))
    return True


def table_exists(lab: str) -> bool:
    """Return whether the lab's table is loaded."""
    return attempt(("nft", "--terse", "list", "table", "inet", table_name(lab))).returncode == 0


def remove_table(lab: str) -> bool:
    """Remove the lab's table; return whether it was there."""
    return attempt(("nft", "delete", "table", "inet", table_name(lab))).returncode == 0


def read_report(lab: str) -> EgressReport:
    """Return the counts of the lab's table; a lab that is not there sent nothing."""
    if not table_exists(lab):
        return EgressReport(lab, 0, ())
    return parse_report(lab, run_json("nft", "-j", "list", "table", "inet", table_name(lab)))


def parse_report(lab: str, document: dict[str, Any]) -> EgressReport:
    """Return the report that nft's JSON listing of the lab's table holds, the busiest attempts first."""
    packets, attempts = 0, []
    for item in document["nftables"]:
        if item.get("counter", {}).get("name") == "egress":
            packets = item["counter"]["packets"]
        if item.get("set", {}).get("name") in _SETS:
            attempts += [_attempt(element["elem"]) for element in item["set"].get("elem", [])]
    return EgressReport(
        lab, packets, tuple(sorted(attempts, key=lambda a: (-a.packets, a.destination, a.port)))
    )


def _attempt(element: dict[str, Any]) -> Attempt:
    source, destination, protocol, port = element["val"]["concat"]
    return Attempt(source, destination, str(protocol), int(port), element["counter"]["packets"])
