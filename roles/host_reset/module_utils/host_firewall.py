"""What Kubernetes leaves in a host's packet filter: rules of iptables, ipsets and nftables tables.

k3s brings its own iptables and puts its rules into the tables that a host's own firewall uses too (filter,
nat, mangle). Only lines, chains and sets that are Kubernetes' go, and tables that are empty and new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ansible.module_utils.host_commands import Kind, attempt, json_of, programs, text_of

TABLES = re.compile(r"^(kube-proxy|standin-.*|cni_.*|cni-.*|flannel.*|KUBE-.*)$")
CHAINS = re.compile(r"\b(KUBE-|CNI-|FLANNEL|flannel)")
# The sets that kube-router's policy controller makes, for both families.
SETS = re.compile(r"^(inet6:)?(KUBE-|kube-)")
FAMILIES = ("iptables", "ip6tables")
# The program that PATH or k3s chose, then either kind by name: a host may have rules in both.
VARIANTS = ("-save", "-nft-save", "-legacy-save")
# The tables that iptables itself makes, and leaves empty.
IPTABLES_TABLES = {"filter", "nat", "mangle", "raw", "security"}


def savers(k3s: Sequence[str], family: str) -> list[str]:
    """Return the programs that print a family's rules, those in k3s' data folders too."""
    return list(dict.fromkeys(p for variant in VARIANTS for p in programs(family + variant, k3s)))


def find_rules(k3s: Sequence[str]) -> list[str]:
    """Return the lines of iptables that are Kubernetes', as `family line`."""
    found = {
        f"{family} {line}": None
        for family in FAMILIES
        for saver in savers(k3s, family)
        for line in text_of(saver).splitlines()
        if CHAINS.search(line)
    }
    return list(found)


def delete_rules(k3s: Sequence[str], lines: list[str]) -> None:
    """Load iptables again without Kubernetes' lines, by each program that shows some."""
    for family in sorted({line.split()[0] for line in lines}):
        for saver in savers(k3s, family):
            saved = text_of(saver).splitlines()
            kept = [line for line in saved if not CHAINS.search(line)]
            if len(kept) != len(saved):
                attempt(saver.removesuffix("-save") + "-restore", stdin="\n".join([*kept, ""]))


def ruleset(kind: str) -> list[dict[str, Any]]:
    """Return everything of a kind (table, chain, rule) that nft shows."""
    text = json_of("nft", "--json", "list", "ruleset")
    return [item[kind] for item in text["nftables"] if kind in item] if text else []


def find_tables() -> list[str]:
    """Return the nftables tables of Services, network policies and host ports, as `family name`."""
    return [f"{t['family']} {t['name']}" for t in ruleset("table") if TABLES.match(t["name"])]


def delete_tables(tables: list[str]) -> None:
    """Delete nftables tables."""
    for table in tables:
        attempt("nft", "delete", "table", *table.split())


def is_kubernetes(rule: dict[str, Any]) -> bool:
    """Say whether a rule goes to a chain of Kubernetes or says in its comment that it is one."""
    targets = (e[verb].get("target", "") for e in rule["expr"] for verb in ("jump", "goto") if verb in e)
    return any(CHAINS.search(text) for text in (*targets, rule.get("comment", "")))


def find_chains() -> list[str]:
    """Return Kubernetes' chains in tables of others, `family table chain`, as nft sees them."""
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in ruleset("chain")
        if CHAINS.match(chain["name"]) and not TABLES.match(chain["table"])
    ]


def delete_chains(chains: list[str]) -> None:
    """Delete chains with the rules that lead there, where iptables' own programs could not."""
    tables = {tuple(chain.split()[:2]) for chain in chains}
    for rule in ruleset("rule"):
        if (rule["family"], rule["table"]) in tables and is_kubernetes(rule):
            place = (rule["family"], rule["table"], rule["chain"])
            attempt("nft", "delete", "rule", *place, "handle", str(rule["handle"]))
    # All are emptied first, for they lead to each other.
    for verb in ("flush", "delete"):
        for chain in chains:
            attempt("nft", verb, "chain", *chain.split())


def find_sets(k3s: Sequence[str]) -> list[str]:
    """Return the ipsets of network policies."""
    names = (
        line for program in programs("ipset", k3s) for line in text_of(program, "list", "-n").splitlines()
    )
    return list(dict.fromkeys(name for name in names if SETS.match(name)))


def delete_sets(k3s: Sequence[str], names: list[str]) -> None:
    """Destroy ipsets; the rules that ask them are gone by now."""
    for program in programs("ipset", k3s):
        for name in names:
            attempt(program, "destroy", name)


def empty_tables(before: set[str]) -> Iterator[str]:
    """Yield the tables of iptables that do nothing any more and were not there before aiplat came."""
    chains = ruleset("chain")
    full = {(r["family"], r["table"]) for r in ruleset("rule")}
    for table in ruleset("table"):
        mine = [c for c in chains if (c["family"], c["table"]) == (table["family"], table["name"])]
        drops = any(chain.get("policy", "accept") != "accept" for chain in mine)
        own = any("hook" not in chain for chain in mine)
        name = f"{table['family']} {table['name']}"
        of_iptables = table["family"] in {"ip", "ip6"} and table["name"] in IPTABLES_TABLES
        if of_iptables and not (drops or own or name in before or (table["family"], table["name"]) in full):
            yield name


def kinds(before: set[str], k3s: Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds in the order in which they can be removed.

    `before` are tables that were there, `k3s` the folders below which k3s has programs of its own.
    """
    rules, sets = (find_rules, delete_rules), (find_sets, delete_sets)
    return (
        Kind("nftables tables of Services and policies", find_tables, delete_tables),
        Kind("iptables rules of Services and policies", *(partial(do, k3s) for do in rules)),
        Kind("chains of Services and policies in other tables", find_chains, delete_chains),
        Kind("ipsets of policies", *(partial(do, k3s) for do in sets)),
        Kind("empty tables of iptables", lambda: list(empty_tables(before)), delete_tables),
    )
