"""Other programs' forward rules: which chains a lab has to pass, and which rules there are its own."""

from __future__ import annotations

from aiplat.lab.forwarding import Chain, foreign_forward_chains, own_rules

# As nft lists a machine with Docker (iptables-nft), firewalld and a lab.
RULESET = {
    "nftables": [
        {
            "chain": {
                "family": "ip",
                "table": "filter",
                "name": "FORWARD",
                "hook": "forward",
                "policy": "drop",
            }
        },
        {"chain": {"family": "ip", "table": "filter", "name": "DOCKER"}},
        {
            "chain": {
                "family": "ip6",
                "table": "filter",
                "name": "FORWARD",
                "hook": "forward",
                "policy": "drop",
            }
        },
        {"chain": {"family": "inet", "table": "firewalld", "name": "filter_FORWARD", "hook": "forward"}},
        {"chain": {"family": "inet", "table": "aiplat-lab-other", "name": "through", "hook": "forward"}},
        {
            "rule": {
                "family": "ip",
                "table": "filter",
                "chain": "FORWARD",
                "handle": 7,
                "comment": "aiplat-lab t-lab",
            }
        },
        {
            "rule": {
                "family": "ip",
                "table": "filter",
                "chain": "FORWARD",
                "handle": 8,
                "comment": "aiplat-lab t-lab2",
            }
        },
        {"rule": {"family": "ip", "table": "filter", "chain": "DOCKER", "handle": 9}},
    ]
}


def test_chains_of_docker_and_firewalld_are_passed_but_not_those_of_labs() -> None:
    """Only IPv4 forward chains of others can cut hosts off from each other."""
    assert foreign_forward_chains(RULESET) == (
        Chain("ip", "filter", "FORWARD"),
        Chain("inet", "firewalld", "filter_FORWARD"),
    )


def test_only_the_labs_own_rules_are_taken_out_again() -> None:
    """A lab whose name begins alike keeps its rule."""
    assert own_rules(RULESET, "t-lab") == ((Chain("ip", "filter", "FORWARD"), 7),)
