"""How a site stands, seen on a healthy one and with one thing wrong at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiplat.actions.status import status
from aiplat.actions.vault import rotate_secrets
from aiplat.runs.journal import Journal
from aiplat.vault.store import ensure_secrets
from tests.cluster import kube as given
from tests.verify.loopback import MODEL, Loopback


def test_a_healthy_site_needs_no_attention(healthy: Loopback) -> None:
    """Every plane that has something is ok, the others are empty."""
    seen = status(healthy.site)
    assert seen.attention == ()
    assert {p.name for p in seen.planes if p.state == "ok"} == {
        "resource",
        "platform",
        "data",
        "model",
        "access",
    }
    assert {p.state for p in seen.planes} == {"ok", "empty"}
    assert [(h.name, h.state, h.sentence) for h in seen.hosts] == [("s1", "ok", "ready, v9.9.9")]
    assert [(m.name, m.state, m.sentence) for m in seen.models] == [(MODEL, "ok", "1 of 1 available")]
    assert (seen.kubernetes, seen.url) == ("v9.9.9", f"https://{healthy.address}/v1")
    assert "its password lies beside it" in seen.vault


def test_a_broken_component_is_under_attention(healthy: Loopback) -> None:
    """Its plane is as bad as it is."""
    healthy.kube.lists["secrets"].append(given.release("operator", "aiplat-model", "pending-upgrade", 2))
    seen = status(healthy.site)
    assert seen.attention == ("operator: its release is pending-upgrade; run `aiplat bootstrap`",)
    assert next(p.state for p in seen.planes if p.name == "model") == "attention"


def test_a_model_that_is_not_there_is_named(healthy: Loopback) -> None:
    """The site asks for it, the cluster has no Service of that name."""
    healthy.kube.lists["services"] = []
    assert status(healthy.site).models[0].sentence == "is not deployed; run `aiplat bootstrap`"


def test_a_node_that_is_gone_is_under_attention(healthy: Loopback) -> None:
    """The host is in the site, but not in the cluster."""
    healthy.kube.lists["nodes"] = []
    assert "s1: is not a node of the cluster" in status(healthy.site).attention


def test_a_node_that_is_lost_or_short_of_disk_has_its_cause_and_a_command(healthy: Loopback) -> None:
    """A node may be ready and end pods all the same."""
    lost = given.node("s1", "Unknown", "Kubelet stopped posting node status.")
    short = given.node("s1")
    short["status"]["conditions"].append({"type": "DiskPressure", "status": "True"})
    for node, said in (
        (lost, "Kubelet stopped posting node status"),
        (short, "its disk is nearly full, so it ends pods and takes no others"),
    ):
        healthy.kube.lists["nodes"] = [node]
        assert f"s1: {said}; `aiplat doctor hosts` looks at it" in status(healthy.site).attention


def test_a_cluster_that_does_not_answer_is_unknown_not_broken(healthy: Loopback) -> None:
    """What cannot be seen is said once."""
    healthy.kube.refuse = 503
    seen = status(healthy.site)
    assert len(seen.attention) == 1
    assert "cannot be asked" in seen.attention[0]
    assert {p.state for p in seen.planes} == {"unknown", "empty"}


def test_a_site_that_was_never_bootstrapped_says_what_to_run(healthy: Loopback) -> None:
    """There is no cluster and there are no secrets."""
    seen = status(healthy.site.model_copy(update={"name": "t-nowhere"}))
    assert seen.vault == "there are no secrets yet"
    assert seen.attention == (
        "site t-nowhere: has no cluster that is known on this machine; run `aiplat bootstrap`",
    )


def test_a_run_that_failed_is_under_attention(healthy: Loopback) -> None:
    """With the verb to run again."""
    site = healthy.site.model_copy(update={"name": "t-failed"})
    journal = Journal(site.name, "bootstrap")
    journal.finish("failed")
    (sentence,) = [s for s in status(site).attention if "last run" in s]
    assert "was failed; run `aiplat bootstrap` again" in sentence


def test_a_certificate_that_ends_soon_is_under_attention(healthy: Loopback) -> None:
    """From 30 days before, with who renews it: a run the leaves, a rotation the CA."""
    site = healthy.site.model_copy(update={"name": "t-old"})
    ensure_secrets(site, lab=True, now=datetime.now(UTC) - timedelta(days=701))
    said = [s for s in status(site).attention if " ends on " in s]
    assert [s.partition("'s")[0] for s in said] == ["the gateway", "the registry"]
    other = healthy.site.model_copy(update={"name": "t-older"})
    ensure_secrets(other, lab=True, now=datetime.now(UTC) - timedelta(days=3640))
    assert any("the site's CA ends on" in s and "vault rotate ca" in s for s in status(other).attention)
    fresh = healthy.site.model_copy(update={"name": "t-fresh"})
    ensure_secrets(fresh, lab=True, now=datetime.now(UTC) - timedelta(days=650))
    assert not [s for s in status(fresh).attention if " ends on " in s]


def test_a_rotation_that_is_not_carried_out_is_under_attention(healthy: Loopback) -> None:
    """With the verb that does it."""
    site = healthy.site.model_copy(update={"name": "t-rotating"})
    ensure_secrets(site, lab=True)
    rotate_secrets(site, ["api-key"])
    assert any("the API key is rotated" in s and "aiplat bootstrap" in s for s in status(site).attention)
