"""The rules that count and drop what leaves a lab, and the report that is read from them."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network

from aiplat.lab.driver import Attempt
from aiplat.lab.egress import parse_report, ruleset
from aiplat.lab.names import LabNetwork, bridge_mac, bridge_name

NETWORK = LabNetwork(IPv4Network("10.92.40.0/24"))
BOTH = LabNetwork(IPv4Network("10.92.40.0/24"), IPv6Network("fd92:40::/64"))
# What `nft -j list table` of nftables 1.0.6 printed after a host tried a name and an address outside.
LISTING = json.loads("""
{"nftables": [
  {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
  {"table": {"family": "inet", "name": "aiplat-lab-t-lab", "handle": 9}},
  {"counter": {"family": "inet", "name": "egress", "handle": 2, "packets": 4, "bytes": 268}},
  {"set": {"family": "inet", "name": "attempts", "size": 65535, "elem": [
    {"elem": {"val": {"concat": ["10.92.40.11", "8.8.8.8", "icmp", 0]}, "counter": {"packets": 1}}},
    {"elem": {"val": {"concat": ["10.42.0.7", "10.92.40.1", "udp", 53]}, "counter": {"packets": 3}}}
  ]}}
]}
""")


def test_the_report_names_every_destination_the_busiest_first() -> None:
    """A pod's attempt carries the pod's own address."""
    report = parse_report("t-lab", LISTING)
    assert report.packets == 4
    assert report.attempts == (
        Attempt("10.42.0.7", "10.92.40.1", "udp", 53, 3),
        Attempt("10.92.40.11", "8.8.8.8", "icmp", 0, 1),
    )


def test_a_lab_that_tried_nothing_has_an_empty_report() -> None:
    """An empty set is listed without `elem`."""
    quiet = {"nftables": [{"counter": {"name": "egress", "packets": 0}}, {"set": {"name": "attempts"}}]}
    assert parse_report("t-lab", quiet).attempts == ()


def test_rules_count_before_they_drop() -> None:
    """One chain lets answers to this machine through, records the rest and then drops it."""
    text = ruleset("t-lab", NETWORK)
    chain = text[text.index("chain outward") : text.index("chain delivered")]
    parts = ("ct state established", "counter name egress", "add @attempts", "    drop\n")
    assert sorted(parts, key=chain.index) == list(parts)


def test_rules_know_traffic_between_hosts_by_the_frame_not_by_the_address() -> None:
    """Pods of two hosts talk with addresses that are not of the lab's subnet."""
    assert f"ether daddr != {bridge_mac('t-lab')} accept" in ruleset("t-lab", NETWORK)
    assert "10.92.40.0/24" not in ruleset("t-lab", NETWORK)


def test_what_leaves_by_ipv6_is_recorded_too() -> None:
    """Only who has which hardware address may be asked of the bridge; the rest is counted like IPv4."""
    text = ruleset("t-lab", BOTH)
    assert text.count("set attempts") == 2
    assert "ip6 daddr fd92:40::1 tcp flags" in text
    assert "add @attempts6 { ip6 saddr . ip6 daddr" in text
    neighbours = (
        f'iifname "{bridge_name("t-lab")}" icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept'
    )
    assert text.count(neighbours) == 2
    assert "ip6" not in ruleset("t-lab", NETWORK)
    listing = {
        "nftables": [
            {
                "set": {
                    "name": name,
                    "elem": [{"elem": {"val": {"concat": [a, b, "tcp", 443]}, "counter": {"packets": 1}}}],
                }
            }
            for name, a, b in (
                ("attempts", "10.0.0.1", "8.8.8.8"),
                ("attempts6", "fd92:40::11", "2001:db8::1"),
            )
        ]
    }
    assert {a.destination for a in parse_report("t-lab", listing).attempts} == {"8.8.8.8", "2001:db8::1"}


def test_no_rule_touches_what_is_not_from_this_labs_bridge() -> None:
    """Every rule that drops is bound to the bridge."""
    text = ruleset("t-lab", NETWORK)
    bound = f'"{bridge_name("t-lab")}"'
    for chain in ("delivered", "through"):
        body = text[text.index(f"chain {chain}") :].split("}")[0]
        assert all(bound in line for line in body.splitlines() if line.strip().endswith("drop"))
    outward = text[text.index("chain outward") :].split("}")[0]
    assert outward.splitlines()[2].strip() == f"iifname != {bound} accept"
