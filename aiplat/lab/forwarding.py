"""Keeps other programs' forward rules (Docker's DROP policy) from cutting hosts off from each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.lab.names import bridge_name, table_name
from aiplat.lab.tools import attempt, run, run_json

_SEEN_BY_FORWARD_RULES = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


@dataclass(frozen=True)
class Chain:
    """A chain of the machine's ruleset."""

    family: str
    table: str
    name: str


def let_hosts_talk(lab: str) -> bool:
    """Let frames between the lab's hosts pass every foreign forward chain; return whether a rule was added.

    Only where the kernel shows bridged frames to those chains at all (br_netfilter).
    """
    if not _bridged_frames_are_seen():
        return False
    document = run_json("nft", "-j", "list", "ruleset")
    done = {chain for chain, _ in own_rules(document, lab)}
    missing = [chain for chain in foreign_forward_chains(document) if chain not in done]
    bridge = bridge_name(lab)
    for chain in missing:
        rule = f'iifname "{bridge}" oifname "{bridge}" counter accept comment "{_comment(lab)}"'
        run("nft", "-f", "-", given=f"insert rule {chain.family} {chain.table} {chain.name} {rule}\n")
    return bool(missing)


def found(lab: str) -> tuple[str, ...]:
    """Return the foreign chains that hold a rule of the lab's, as `family table chain`."""
    rules = own_rules(run_json("nft", "-j", "list", "ruleset"), lab)
    return tuple(f"{chain.family} {chain.table} {chain.name}" for chain, _ in rules)


def withdraw(lab: str) -> None:
    """Remove the lab's rules from foreign chains."""
    for chain, handle in own_rules(run_json("nft", "-j", "list", "ruleset"), lab):
        attempt(("nft", "delete", "rule", chain.family, chain.table, chain.name, "handle", str(handle)))


def foreign_forward_chains(document: dict[str, Any]) -> tuple[Chain, ...]:
    """Return the forward chains for IPv4 in nft's JSON ruleset that are not a lab's own."""
    chains = (item["chain"] for item in document["nftables"] if "chain" in item)
    return tuple(
        Chain(c["family"], c["table"], c["name"])
        for c in chains
        if c.get("hook") == "forward"
        and c["family"] in ("ip", "inet")
        and not c["table"].startswith(table_name(""))
    )


def own_rules(document: dict[str, Any], lab: str) -> tuple[tuple[Chain, int], ...]:
    """Return the lab's rules in foreign chains, each with the handle that removes it."""
    rules = (item["rule"] for item in document["nftables"] if "rule" in item)
    return tuple(
        (Chain(r["family"], r["table"], r["chain"]), r["handle"])
        for r in rules
        if r.get("comment") == _comment(lab)
    )


def _comment(lab: str) -> str:
    return f"aiplat-lab {lab}"


def _bridged_frames_are_seen() -> bool:
    return _SEEN_BY_FORWARD_RULES.exists() and _SEEN_BY_FORWARD_RULES.read_text().strip() == "1"
