"""Counts, records and drops whatever a lab sends outside, in an nftables table of the lab's own."""

from __future__ import annotations

from typing import Any

from aiplat.lab.driver import Attempt, EgressReport
from aiplat.lab.names import LabNetwork, bridge_mac, bridge_name, table_name
from aiplat.lab.tools import attempt, run, run_json


def ruleset(lab: str, network: LabNetwork) -> str:
    """Return the lab's table as nft reads it.

    Everything a host sends outside is addressed to the bridge's own hardware address, so that address, not
    the subnet, tells it from traffic between hosts (which br_netfilter also shows to these hooks, pod
    addresses and all). The hook is prerouting: a machine that does not forward drops packets before its
    forward hook.
    """
    bridge, mac = bridge_name(lab), bridge_mac(lab)
    return f"""
table inet {table_name(lab)} {{
  counter egress {{ }}
  set attempts {{
    type ipv4_addr . ipv4_addr . inet_proto . inet_service
    size 65535
    flags dynamic
    counter
  }}
  chain between_hosts {{
    comment "two labs may use the same pod addresses: keep them out of this machine's connection table"
    type filter hook prerouting priority raw; policy accept;
    iifname "{bridge}" ether daddr != {mac} notrack
  }}
  chain outward {{
    type filter hook prerouting priority mangle; policy accept;
    iifname != "{bridge}" accept
    ether daddr != {mac} accept
    ct state established,related accept comment "answers to this machine's own connections"
    ip daddr {network.gateway} tcp flags & (fin | syn | rst | ack) != syn drop comment "late answers"
    counter name egress
    meta l4proto {{ tcp, udp, sctp }} add @attempts {{ ip saddr . ip daddr . meta l4proto . th dport }}
    meta l4proto != {{ tcp, udp, sctp }} add @attempts {{ ip saddr . ip daddr . meta l4proto . 0 }}
    drop
  }}
  chain delivered {{
    type filter hook input priority filter; policy accept;
    iifname "{bridge}" ct state established,related accept
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
        if item.get("set", {}).get("name") == "attempts":
            attempts = [_attempt(element["elem"]) for element in item["set"].get("elem", [])]
    return EgressReport(
        lab, packets, tuple(sorted(attempts, key=lambda a: (-a.packets, a.destination, a.port)))
    )


def _attempt(element: dict[str, Any]) -> Attempt:
    source, destination, protocol, port = element["val"]["concat"]
    return Attempt(source, destination, str(protocol), int(port), element["counter"]["packets"])
