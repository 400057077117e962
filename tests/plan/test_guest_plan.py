"""The platform in clusters that others made, as kind and k3d say of themselves (constructed facts)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.catalog.artifacts import Lock
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.resolve import components_on, resolve, undeliverable
from aiplat.plan.existing import ref_in
from aiplat.plan.guest_plan import GuestFacts, guest_plan, guest_refusals, guest_warnings
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import HostFacts, Ledger, LedgerStep, Plan, ReleaseState
from aiplat.plan.releases import releases_of
from aiplat.site.models import Site
from tests.plan.test_cluster_needs import seen
from tests.plan.worlds import PUBLIC

REGISTRY = "registry.example:5000/aiplat"
K3D: dict[str, Any] = {
    "version": "v1.35.2+k3s1",
    "daemons": ("svclb-traefik",),
    "default_classes": ("local-path",),
}
DIGEST = "sha256:" + "a" * 64


def site(**more: Any) -> Site:
    """A site in somebody's cluster."""
    said: dict[str, Any] = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3"}
    said |= {"supply": "packages", "cluster": {"existing": "/kubeconfig", "registry": REGISTRY}}
    return Site.model_validate(said | {"models": [{"name": "gemma3:270m"}]} | more)


def made(lock: Lock) -> Lock:
    """The lock when everything in it is made."""
    artifacts = (a.model_copy(update={"digest": DIGEST, "file": DIGEST}) for a in lock.artifacts)
    return lock.model_copy(update={"artifacts": tuple(artifacts)})


def plan(lock: Lock, facts: GuestFacts) -> Plan:
    """The plan of the site."""
    return guest_plan(site(), lock, facts, PUBLIC, catalog_of(site(), lock))


def facts(ledger: Ledger | None = None, absent: tuple[str, ...] = (), **cluster: Any) -> GuestFacts:
    """What was seen: of a new kind cluster, but for what is said otherwise."""
    there = HostFacts(host=OPERATOR, reachable=True, ledger=ledger, nodes_ready=("kind-control-plane",))
    return GuestFacts(seen=seen(**cluster), there=there, absent=absent)


@pytest.fixture(scope="module")
def lock() -> Lock:
    """The site's lock with everything made."""
    return made(resolve(site(), supply="packages"))


@pytest.mark.parametrize("cluster", [{}, K3D], ids=["kind", "k3d"])
def test_images_are_pushed_and_releases_installed(lock: Lock, cluster: dict[str, Any]) -> None:
    """Nothing is done on hosts: there are none."""
    found = plan(lock, facts(absent=(DIGEST,), **cluster))
    assert [step.id for step in found.steps] == ["bundle", "push", "plane_release"]
    assert {host for step in found.steps for host in step.hosts} == {OPERATOR}
    assert guest_refusals(site(), facts(**cluster)) == []


def test_what_is_as_wanted_needs_nothing(lock: Lock) -> None:
    """The inputs that a run recorded, and releases that are deployed from them."""
    (release,) = [step for step in plan(lock, facts()).steps if step.id == "plane_release"]
    ledger = Ledger(site="ward-3", steps={"plane_release": LedgerStep(inputs=release.inputs[OPERATOR])})
    wanted = releases_of(site(), lock, catalog_of(site(), lock), PUBLIC.identities)
    releases = tuple(
        ReleaseState(name=r.name, namespace=r.namespace, revision=1, status="deployed", inputs=r.inputs)
        for r in wanted
    )
    settled = facts(ledger)
    settled = settled.model_copy(update={"there": settled.there.model_copy(update={"releases": releases})})
    assert plan(lock, settled).nothing_to_do
    gone = settled.model_copy(update={"there": settled.there.model_copy(update={"releases": releases[1:]})})
    (step,) = [step for step in plan(lock, gone).steps if step.id == "plane_release"]
    assert step.reason[OPERATOR] == f"release {releases[0].name} is not in the cluster"


def test_an_object_that_somebody_changed_is_named(lock: Lock) -> None:
    """Its release is deployed again, and the plan says for which object."""
    (release,) = [step for step in plan(lock, facts()).steps if step.id == "plane_release"]
    ledger = Ledger(site="ward-3", steps={"plane_release": LedgerStep(inputs=release.inputs[OPERATOR])})
    drifted = facts(ledger)
    drift = ("plane_release: service gateway in aiplat-access is gone",)
    there = drifted.there.model_copy(update={"drift": drift, "nodes_ready": ()})
    (step,) = [
        s for s in plan(lock, drifted.model_copy(update={"there": there})).steps if s.id == "plane_release"
    ]
    assert step.reason[OPERATOR] == "drift: service gateway in aiplat-access is gone"


def test_what_the_cluster_lacks_refuses_the_plan() -> None:
    """By name, with what to do; what could not be seen only warns."""
    (finding,) = guest_refusals(site(), facts(default_classes=()))
    assert (finding.problem, "is-default-class" in finding.fix) == ("no storage class is the default", True)
    assert guest_warnings(facts()) == []
    assert "k3s has one inside" in guest_warnings(facts(**K3D))[0].problem


def test_anothers_platform_refuses_and_ones_own_does_not() -> None:
    """A run that was cut off has recorded that the namespaces are the site's."""
    namespaces = ("default", "aiplat-model")
    (finding,) = guest_refusals(site(), facts(namespaces=namespaces))
    assert "namespaces of a platform are there" in finding.problem
    assert guest_refusals(site(), facts(Ledger(site="ward-3"), namespaces=namespaces)) == []


def test_a_registry_that_says_no_refuses_the_plan() -> None:
    """The reason is the registry's own."""
    silent = facts().model_copy(update={"problem": "it asks who you are"})
    (finding,) = guest_refusals(site(), silent)
    assert (finding.where, finding.problem) == (f"registry {REGISTRY}", "it asks who you are")


def test_everything_is_pulled_from_the_sites_registry_by_digest(lock: Lock) -> None:
    """Engines, models and services, whatever their upstream names."""
    values = "\n".join(
        r.values for r in releases_of(site(), lock, catalog_of(site(), lock), PUBLIC.identities)
    )
    for artifact in lock.artifacts:
        if artifact.kind in ("image", "model") and artifact.name.rpartition("/")[2] != "mirrored-pause":
            assert f"{REGISTRY}/{artifact.name}:" in values
            assert ref_in(site(), artifact).endswith(f"@{DIGEST}")


def test_nothing_of_hosts_is_asked_for(lock: Lock) -> None:
    """No host port, no node of the control plane, the default storage class, any address of the API."""
    catalog = catalog_of(site(), lock)
    found = {r.name: YAML(typ="safe").load(r.values) for r in releases_of(site(), lock, catalog, {})}
    gateway, postgresql = found["gateway"], found["postgresql"]
    assert (gateway["hostPort"], gateway["onServers"], gateway["replicas"]) == (0, False, 1)
    assert (gateway["apiServers"], gateway["apiPorts"]) == (["0.0.0.0/0", "::/0"], [443, 6443])
    assert postgresql["storage"]["className"] == ""
    assert {"k3s", "registry", "host-packages"}.isdisjoint(c.name for c in components_on(site(), catalog))
    assert {a.name for a in lock.of("hostfile")} == {"helm", "k3s"}


@pytest.mark.parametrize(
    ("plane", "name", "said"),
    [
        ("resource", "servicelb", "servicelb is the existing cluster's own matter"),
        ("access", "ingress", "ingress is not for existing clusters: it takes their hosts"),
        ("access", "canaille", "canaille needs ingress, which is not for existing clusters"),
    ],
)
def test_what_takes_hosts_is_refused_by_name(plane: str, name: str, said: str) -> None:
    """And so is what needs it."""
    asked = site(planes={plane: {name: {"state": "on"}}})
    assert any(said in finding.problem for finding in undeliverable(asked, supply="packages"))


def test_images_loaded_into_nodes_keep_their_upstream_names(lock: Lock) -> None:
    """By digest, as containerd has them then; the plan says where they are brought."""
    loaded = site(cluster={"existing": "/kubeconfig", "load": "kind"})
    assert undeliverable(loaded, supply="packages") == []
    images = [artifact for artifact in lock.artifacts if artifact.kind in ("image", "model")]
    assert {ref_in(loaded, artifact) for artifact in images} == {artifact.ref for artifact in images}
    found = facts(absent=(DIGEST,))
    titles = {step.title for step in guest_plan(loaded, lock, found, PUBLIC, catalog_of(loaded, lock)).steps}
    assert "Bring images and models to the nodes of the kind cluster" in titles


def test_nodes_that_do_not_say_what_they_have_refuse_the_plan() -> None:
    """The reason is their engine's own."""
    loaded = site(cluster={"existing": "/kubeconfig", "load": "k3d"})
    silent = facts().model_copy(update={"problem": "no container of that name"})
    (finding,) = guest_refusals(loaded, silent)
    assert (finding.where, finding.problem) == ("nodes of the k3d cluster", "no container of that name")


def test_the_facts_make_one_plan_whoever_else_works_in_the_cluster(lock: Lock) -> None:
    """Another's namespace or daemon gives it no other digest."""
    assert plan(lock, facts()).digest == plan(lock, facts(namespaces=("default", "shop"))).digest


def test_a_kubeconfig_is_flattened_to_one_context(tmp_path: Path) -> None:
    """Files that it names are inside then, and it works from any folder."""
    from aiplat.cluster.kubeconfig import flattened  # noqa: PLC0415

    (tmp_path / "ca.pem").write_text("CA")
    clusters = [
        {"name": n, "cluster": {"server": f"https://{n}", "certificate-authority": "ca.pem"}} for n in "ab"
    ]
    users: list[dict[str, Any]] = [{"name": n, "user": {"token": f"of {n}"}} for n in "ab"]
    users[1]["user"] = {"exec": {"command": "./bin/who", "args": ["me"]}}
    contexts = [{"name": f"at-{n}", "context": {"cluster": n, "user": n}} for n in "ab"]
    document = {"clusters": clusters, "users": users, "contexts": contexts, "current-context": "at-a"}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document))
    found = flattened(path, "at-b")
    assert found["current-context"] == "at-b"
    assert found["clusters"] == [
        {"name": "b", "cluster": {"server": "https://b", "certificate-authority-data": "Q0E="}}
    ]
    program = {"command": str(tmp_path / "bin/who"), "args": ["me"]}
    assert found["users"] == [{"name": "b", "user": {"exec": program}}]
    assert flattened(path, None)["users"] == [{"name": "a", "user": {"token": "of a"}}]
