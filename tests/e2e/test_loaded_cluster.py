"""A cluster whose nodes are containers here, as k3d and kind make them: images go straight into the nodes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from aiplat.lab import lab_down, lab_up
from aiplat.lab.docker_hosts import container_name
from aiplat.runs.node_images import NodeContainer
from aiplat.site.load import load_site
from aiplat.verify.smoke_test import CHAT
from tests.e2e.docker_engine import docker_engine
from tests.e2e.foreign_cluster import ForeignCluster, Objects, differences, make_foreign_cluster
from tests.e2e.journey import SITES, Journey
from tests.patience import PATIENCE, until

pytestmark = [pytest.mark.lab, pytest.mark.journey]
NAME, FILE = "t-loaded-owner", SITES / "loaded-cluster.yaml"
NODE = NodeContainer("docker", container_name(NAME, "t-loaded-s1"))
SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-loaded
supply: packages
cluster:
  existing: ./kubeconfig
  context: default
  load: k3d
models:
  - {name: "smollm2:135m", engine: ollama}
"""
MODEL = "smollm2"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignCluster]:
    """A cluster on one node, a container of the journey's engine, without a registry."""
    state = tmp_path_factory.mktemp("state")
    with docker_engine(tmp_path_factory.mktemp("engine")), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(state))
        lab_up(load_site(FILE), driver="docker")
        yield make_foreign_cluster(Journey(NAME, FILE, state), tmp_path_factory.mktemp("owner"), NODE.name)
        lab_down(NAME)
    shutil.rmtree(state)


@pytest.fixture(scope="module")
def guest(cluster: ForeignCluster) -> Iterator[Journey]:
    """The site as whoever installs into that cluster writes it down."""
    file, password = cluster.folder / "site.yaml", cluster.folder / "vault-password"
    file.write_text(SITE)
    password.touch(mode=0o600)
    password.write_text("of the vault\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_VAULT_PASSWORD_FILE", str(password))
        yield replace(cluster.lab, name="t-loaded", site_file=file)


@pytest.fixture(scope="module")
def before(cluster: ForeignCluster) -> Objects:
    """What the cluster held before."""
    return cluster.objects()


@pytest.fixture(scope="module")
def first(guest: Journey, before: Objects) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return guest.bootstrap()


def loaded() -> frozenset[str]:
    """The names, by digest, of what the node has beside its owner's images."""
    return frozenset(name for name in NODE.names() if "@sha256:" in name)


def test_the_plan_says_that_nodes_are_loaded(guest: Journey) -> None:
    """It names the tool that made the cluster, and nothing of the platform is in the node yet."""
    plan = guest.document("plan")
    titles = [step["title"] for step in plan.get("steps", plan.get("plan", {}).get("steps"))]
    assert "Bring images and models to the nodes of the k3d cluster" in titles
    assert not any(MODEL in name for name in loaded())


def test_bootstrap_puts_the_platform_on_it(first: dict[str, Any]) -> None:
    """Pods and their models start from what is in the node: there is no registry to ask."""
    assert first["state"] == "done"
    assert first["changed"] > 0
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    assert any(MODEL in name for name in loaded())


def test_a_model_answers_through_the_gateway(guest: Journey, first: dict[str, Any]) -> None:
    """From this machine, by what the kubeconfig reaches."""
    words = ("chat", str(guest.site_file), "--once", CHAT.prompt, "--temperature", "0")
    assert CHAT.contains in guest.aiplat(*words).stdout


def test_a_second_bootstrap_changes_nothing(guest: Journey, first: dict[str, Any]) -> None:
    """And sends nothing into nodes."""
    held = loaded()
    assert guest.bootstrap()["changed"] == 0
    assert loaded() == held


def test_what_a_node_lost_is_brought_again(guest: Journey, first: dict[str, Any]) -> None:
    """That alone, as after a kubelet cleared up."""
    held = loaded()
    (lost,) = (name for name in held if MODEL in name)
    argv = ["docker", "exec", NODE.name, "ctr", "--namespace", "k8s.io", "images", "rm", lost]
    subprocess.run(argv, capture_output=True, check=True, timeout=PATIENCE)
    summary = guest.bootstrap()
    assert (summary["changed"], loaded()) == (1, held)


def test_without_the_engine_the_plan_is_refused(guest: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that did not make the cluster."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    refused = guest.aiplat("plan", str(guest.site_file), expect=2)
    said = " ".join((refused.stdout + refused.stderr).split())
    assert f"{NODE.name}: no container of that name" in said


def test_reset_leaves_the_cluster_as_it_was(
    guest: Journey, cluster: ForeignCluster, before: Objects, first: dict[str, Any]
) -> None:
    """But for content in its nodes, of which it says that it stays."""
    assert "stay on nodes" in guest.aiplat("reset", str(guest.site_file), "--yes").stderr

    def same() -> bool:
        return differences(before, cluster.objects()) == {}

    until(same, lambda: differences(before, cluster.objects()), pause=2)
