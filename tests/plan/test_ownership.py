"""Hosts whose cluster was made with other secrets are refused: k3s would not start with new ones."""

from __future__ import annotations

import pytest

from aiplat.plan.models import Facts, HostFacts, Ledger, LedgerStep
from aiplat.plan.ownership import other_secrets

MADE_WITH = "sha256:" + "1" * 64


def hosts(site: str = "case", step: str = "k3s_server", token: str = MADE_WITH) -> Facts:
    """Return the facts of a host that was installed with a token."""
    steps = {step: LedgerStep(inputs={"secret:k3s token": token} if token else {})}
    return Facts(hosts=(HostFacts(host="s1", reachable=True, ledger=Ledger(site=site, steps=steps)),))


@pytest.mark.parametrize("step", ["k3s_server", "k3s_agent"])
@pytest.mark.parametrize(
    ("identities", "said"),
    [({}, "there is no vault of it here"), ({"k3s token": "sha256:" + "2" * 64}, "another token")],
)
def test_a_lost_vault_is_refused(step: str, identities: dict[str, str], said: str) -> None:
    """Without the vault, or with one made again, nothing is planned, and the way out is named."""
    (finding,) = other_secrets("case", hosts(step=step), identities)
    assert said in finding.problem
    assert "aiplat vault import" in finding.fix


def test_the_vault_a_host_was_made_with_is_no_reason() -> None:
    """The same token, however much else was renewed."""
    assert list(other_secrets("case", hosts(), {"k3s token": MADE_WITH, "ca": "sha256:new"})) == []


def test_a_token_that_is_being_exchanged_is_the_sites_own() -> None:
    """A host that still has the one before is not a stranger, and one with any other is."""
    new = {"k3s token": "sha256:" + "2" * 64}
    assert list(other_secrets("case", hosts(), new, rotated_from=MADE_WITH)) == []
    assert len(list(other_secrets("case", hosts(), new, rotated_from="sha256:" + "3" * 64))) == 1


@pytest.mark.parametrize(
    "facts", [hosts(token=""), hosts(site="other"), hosts(step="host_prepare", token="")]
)
def test_a_host_without_the_sites_cluster_needs_no_vault(facts: Facts) -> None:
    """A fresh host, one whose k3s never finished, and one of another site, which has its own sentence."""
    assert list(other_secrets("case", facts, {})) == []
