"""The platform on a cluster that aiplat did not make: what it lacks, bootstrap, chat, reset, nothing left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from aiplat.verify.smoke_test import CHAT
from tests.e2e.foreign_cluster import ForeignCluster, Objects, differences, make_foreign_cluster
from tests.e2e.journey import AIPLAT, Journey
from tests.patience import PATIENCE, until

pytestmark = [pytest.mark.lab, pytest.mark.journey]

SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-existing
supply: packages
cluster:
  existing: ./kubeconfig
  context: default
  registry: {registry}/aiplat
  registryCA: ./registry-ca.pem
models:
  - {{name: "smollm2:135m", engine: ollama}}
"""
LEASES = "-n kube-system get leases --output=name"
LEASE = "lease.coordination.k8s.io/aiplat-run"
HELD_ELSEWHERE = """{"run":"r-9","user":"ann","host":"desk","pid":7}"""
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True)
class Guest:
    """A site in somebody else's cluster, and what the cluster held before."""

    site: Journey
    cluster: ForeignCluster
    before: Objects


@pytest.fixture(scope="module")
def cluster(
    make_journey: Callable[[str], Journey], tmp_path_factory: pytest.TempPathFactory
) -> ForeignCluster:
    """A cluster with its owner's release in it, which nothing of aiplat has touched."""
    return make_foreign_cluster(make_journey("existing-cluster"), tmp_path_factory.mktemp("owner"))


@pytest.fixture(scope="module")
def guest(cluster: ForeignCluster) -> Iterator[Guest]:
    """The site as whoever installs into that cluster writes it down."""
    file = cluster.folder / "site.yaml"
    file.write_text(SITE.format(registry=cluster.registry))
    password = cluster.folder / "vault-password"
    password.touch(mode=0o600)
    password.write_text("of the vault\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_VAULT_PASSWORD_FILE", str(password))
        yield Guest(replace(cluster.lab, name="t-existing", site_file=file), cluster, cluster.objects())


def on_another_machine(guest: Guest, state: Path, verb: str) -> subprocess.CompletedProcess[str]:
    """Run a verb as a second operator does: with the same file and a state of its own."""
    argv = [AIPLAT, verb, str(guest.site.site_file), "--yes"]
    env = {**os.environ, "AIPLAT_STATE": str(state)}
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture(scope="module")
def both(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The summary of the first bootstrap, and what a second machine was told meanwhile, by verb."""
    other = tmp_path_factory.mktemp("other")
    with ThreadPoolExecutor(max_workers=1) as aside:
        first = aside.submit(guest.site.bootstrap)
        until(lambda: first.done() or LEASE in guest.cluster.kubectl(LEASES))
        told = {verb: on_another_machine(guest, other, verb) for verb in ("bootstrap", "reset")}
        return first.result(), told


@pytest.fixture(scope="module")
def first(both: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return both[0]


def test_the_owners_cluster_runs_without_aiplat(cluster: ForeignCluster) -> None:
    """It has the owner's release, a default class for volumes, and nothing of the platform's."""
    objects = cluster.objects()
    assert "apps/v1 Deployment shop/till" in objects
    assert [name for name in objects if "aiplat" in name] == []
    assert cluster.lab.on_host("ls -d /var/lib/aiplat 2>/dev/null || true") == ""


def test_two_looks_at_a_cluster_nobody_changes_are_equal(guest: Guest) -> None:
    """So whatever differs later is somebody's doing."""
    assert differences(guest.before, guest.cluster.objects()) == {}


def test_the_plan_says_what_the_cluster_lacks(guest: Guest) -> None:
    """Without a default class for volumes it is not carried out, and the cause is named with its fix."""
    patch = 'patch storageclass local-path --patch \'{{"metadata":{{"annotations":{{"{}":"{}"}}}}}}\''
    guest.cluster.kubectl(patch.format(DEFAULT_CLASS, "false"))
    try:
        refused = guest.site.aiplat("plan", str(guest.site.site_file), expect=2)
    finally:
        guest.cluster.kubectl(patch.format(DEFAULT_CLASS, "true"))
    assert "default" in refused.stdout + refused.stderr
    assert "storage" in (refused.stdout + refused.stderr).lower()
    assert "aiplat" not in guest.cluster.kubectl("get namespaces --output=name")


def test_the_plan_names_what_will_be_installed(guest: Guest) -> None:
    """Nothing on hosts: there are none that are aiplat's to change."""
    plan = guest.site.document("plan")
    assert {step["id"] for step in plan.get("steps", plan.get("plan", {}).get("steps"))} == {
        "bundle",
        "push",
        "plane_release",
    }


def test_bootstrap_puts_the_platform_on_it(first: dict[str, Any]) -> None:
    """Every check that can be made there holds."""
    assert first["state"] == "done"
    assert first["changed"] > 0
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []


@pytest.mark.parametrize("verb", ["bootstrap", "reset"])
def test_a_second_machine_is_refused_meanwhile(
    guest: Guest, both: tuple[dict[str, Any], dict[str, Any]], verb: str
) -> None:
    """It is told whose run changes the cluster and until when; after the run nothing is left of its lease."""
    told = both[1][verb]
    assert told.returncode == 1, told.stdout + told.stderr
    assert f"is being changed by run {both[0]['run']}" in told.stderr
    assert "its lease falls at" in told.stderr
    assert LEASE not in guest.cluster.kubectl(LEASES)


def test_images_come_from_the_owners_registry_by_digest(guest: Guest, first: dict[str, Any]) -> None:
    """The nodes need no other registry, and nothing has a tag that could move."""
    pods = json.loads(guest.cluster.kubectl("get pods --all-namespaces --output=json"))["items"]
    ours = [p for p in pods if p["metadata"]["namespace"].startswith("aiplat")]
    images = {c["image"] for pod in ours for c in pod["spec"]["containers"]}
    assert images
    assert [i for i in images if not (i.startswith(guest.cluster.registry) and "@sha256:" in i)] == []


def test_a_model_answers_through_the_gateway(guest: Guest, first: dict[str, Any]) -> None:
    """From this machine, by what the kubeconfig reaches."""
    site = str(guest.site.site_file)
    assert (
        CHAT.contains in guest.site.aiplat("chat", site, "--once", CHAT.prompt, "--temperature", "0").stdout
    )


def test_reading_verbs_find_nothing_wrong(guest: Guest, first: dict[str, Any]) -> None:
    """They look through the kubeconfig."""
    guest.site.document("status")
    assert [c for c in guest.site.document("verify")["results"] if c["result"] == "FAIL"] == []


def test_a_second_bootstrap_changes_nothing(guest: Guest, first: dict[str, Any]) -> None:
    """Not one object is another than before."""
    before = guest.cluster.objects()
    assert guest.site.bootstrap()["changed"] == 0
    assert differences(before, guest.cluster.objects()) == {}


def test_the_plan_names_an_object_that_somebody_deleted(guest: Guest, first: dict[str, Any]) -> None:
    """Helm's own record of the release says nothing of that."""
    guest.cluster.kubectl("-n aiplat-access delete service gateway")
    (step,) = [s for s in guest.site.document("plan")["steps"] if s["id"] == "plane_release"]
    assert list(step["reason"].values()) == ["drift: service gateway in aiplat-access is gone"]


def test_a_killed_runs_lease_falls_by_itself(guest: Guest, first: dict[str, Any]) -> None:
    """A run is killed in the middle, on another machine by what its lease says; the next one continues."""
    argv = [AIPLAT, "bootstrap", str(guest.site.site_file), "--yes"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        until(lambda: killed.poll() is not None or LEASE in guest.cluster.kubectl(LEASES))
        killed.send_signal(signal.SIGKILL)
    holder = f"aiplat.dev/run-holder='{HELD_ELSEWHERE}'"
    guest.cluster.kubectl(f"-n kube-system annotate lease aiplat-run --overwrite {holder}")
    refused = guest.site.aiplat("bootstrap", str(guest.site.site_file), "--yes", expect=1)
    assert "is being changed by run r-9 (ann@desk, process 7; its lease falls at" in refused.stderr

    def continued() -> bool:
        return subprocess.run(argv, capture_output=True, timeout=PATIENCE, check=False).returncode == 0

    until(continued, pause=2)
    assert "service/gateway" in guest.cluster.kubectl("-n aiplat-access get services --output=name")
    assert guest.site.bootstrap()["changed"] == 0


def test_a_load_balancers_address_is_the_sites(guest: Guest, first: dict[str, Any]) -> None:
    """The cluster has no load balancer: its owner gives the address, as a controller of one does.

    Clients reach it there without a tunnel, and the gateway's certificate names it.
    """
    text, address = guest.site.site_file.read_text(), guest.cluster.registry.partition(":")[0]
    guest.site.site_file.write_text(text.replace("  context:", "  serviceType: LoadBalancer\n  context:"))
    (step,) = [s for s in guest.site.document("plan")["steps"] if s["id"] == "plane_release"]
    assert "the gateway's Service is of type LoadBalancer" in "".join(step["reason"].values())
    with ThreadPoolExecutor(max_workers=1) as aside:
        run = aside.submit(guest.site.bootstrap)
        services = "-n aiplat-access get services --output=name"
        until(lambda: run.done() or "service/gateway-outside" in guest.cluster.kubectl(services))
        status = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}})
        named = "-n aiplat-access patch service gateway-outside --subresource=status --type=merge"
        guest.cluster.kubectl(f"{named} --patch '{status}'")
        summary = run.result()
    assert (summary["state"], summary["url"]) == ("done", f"https://{address}/v1")
    assert [c for c in summary["checks"] if c["result"] == "FAIL"] == []
    with guest.site.platform() as client:
        assert str(client.base_url) == f"https://{address}/v1/"
        assert client.get("models").json()["data"]
    assert guest.site.document("status")["attention"] == []
    assert guest.site.bootstrap()["changed"] == 0


def test_what_the_owner_has_is_as_it_was(guest: Guest, first: dict[str, Any]) -> None:
    """While the platform runs: nothing that was there before is gone or other than it was."""
    found = differences(guest.before, guest.cluster.objects())
    assert {name: what for name, what in found.items() if what != "new"} == {}


def test_reset_leaves_the_cluster_as_it_was(guest: Guest, first: dict[str, Any]) -> None:
    """Every object of every kind is compared; volumes go a little after their claims.

    The bundle is gone by then, the one that was built and the one that the file names, and so is the lock.
    """
    shutil.rmtree(guest.site.bundle())
    (guest.site.state / "aiplat/sites/t-existing/lock.yaml").unlink()
    text = guest.site.site_file.read_text()
    guest.site.site_file.write_text(text.replace("supply: packages", "supply: bundle:/gone"))
    guest.site.aiplat("reset", str(guest.site.site_file), "--yes")
    assert LEASE not in guest.cluster.kubectl(LEASES)

    def same() -> bool:
        return differences(guest.before, guest.cluster.objects()) == {}

    until(same, lambda: differences(guest.before, guest.cluster.objects()), pause=2)


def test_the_owners_release_never_stopped(guest: Guest, first: dict[str, Any]) -> None:
    """Its pod is the one that ran before, and Helm knows it as its owner left it."""
    name = next(n for n in guest.before if n.startswith("v1 Pod shop/till-")).rpartition("/")[2]
    pod = json.loads(guest.cluster.kubectl(f"-n shop get pod {name} --output=json"))
    assert [c["restartCount"] for c in pod["status"]["containerStatuses"]] == [0]
    listed = guest.cluster.helm("list --namespace shop --output json")
    assert [(r["name"], r["revision"], r["status"]) for r in json.loads(listed)] == [
        ("till", "1", "deployed")
    ]


def test_the_host_holds_nothing_of_aiplats(guest: Guest, first: dict[str, Any]) -> None:
    """No program, folder, unit or ledger was put on the cluster's machine at any time."""
    found = guest.cluster.lab.on_host(
        "ls -d /var/lib/aiplat /usr/local/lib/aiplat /etc/aiplat/* 2>/dev/null || true"
    )
    assert found.split() == ["/etc/aiplat/lab-host"]
