"""What of a site anybody on its network may ask for, and who asks that one for a key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts.conftest import NAMES, RELEASES, documents

OPEN = {
    "gateway:8443": "asks for a key; what it answers without one are errors",
    "ingress:8443": "asks the site's sign-in first, or leads to what signs people in itself",
    "resolver:1053": "says where the names of the site lead, by UDP and by TCP, and knows nothing else",
}
SIGN_IN_THEMSELVES = {
    "canaille": "it is the sign-in: its pages ask for the password, and make who guesses wait",
    "portal": "no page, form or API route of it is answered without a key, a token or a session",
}


def to_everybody(policy: dict[str, Any]) -> list[str]:
    """Return the ports that a policy opens to whoever asks."""
    rules = [
        rule
        for rule in policy["spec"].get("ingress") or []
        if not rule.get("from")
        or any(w.get("namespaceSelector") == {} or "ipBlock" in w for w in rule["from"])
    ]
    name = policy["metadata"]["name"]
    return [f"{name}:{port['port']}" for rule in rules for port in rule.get("ports") or [{"port": "every"}]]


def test_only_what_asks_for_a_key_is_open_to_everybody(rendered: dict[str, str]) -> None:
    """Every other port of every Service is for pods that are named."""
    every = [d for name in NAMES for d in documents(rendered[name])]
    found = [port for d in every if d["kind"] == "NetworkPolicy" for port in to_everybody(d)]
    assert sorted(set(found)) == sorted(OPEN)


@pytest.mark.parametrize("rule", [{"ports": [{"port": 80}]}, {"from": [{"namespaceSelector": {}}]}])
def test_a_policy_that_lets_everybody_in_is_noticed(rule: dict[str, Any]) -> None:
    """The test above can fail."""
    assert to_everybody({"metadata": {"name": "x"}, "spec": {"ingress": [rule]}})


def test_only_what_is_named_here_signs_people_in_itself() -> None:
    """Before every other route the ingress asks the site's sign-in."""
    own = {c.name for c in RELEASES for route in c.needs.routes if route.sign_in == "own"}
    assert own == set(SIGN_IN_THEMSELVES)
