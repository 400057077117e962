"""The k3s of one server goes up by a minor version: announced, with a way back, and pods do not notice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.earlier import before, earlier_checkout, now
from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]
SERVER = "t-lift-s1"
DATA = "/var/lib/rancher/k3s/data"
FORSAKEN = "a" * 64


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey], tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """A server that an earlier aiplat bootstrapped, with the folder of a k3s that is long gone."""
    journey = make_journey("k3s-upgrade")
    checkout = earlier_checkout(tmp_path_factory.mktemp("earlier") / "aiplat")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(checkout))
        journey.bootstrap()
    assert before() in journey.on_host("k3s --version")
    journey.on_host(f"install -D /bin/true {DATA}/{FORSAKEN}/bin/containerd-shim-runc-v2")
    return journey


def pods(ward: Journey) -> dict[str, tuple[str, int]]:
    """Return every pod with its identity and how often its containers were started again."""
    found = json.loads(ward.on_host("k3s kubectl get pods -A -o json"))["items"]
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(c["restartCount"] for c in pod["status"].get("containerStatuses", ())),
        )
        for pod in found
    }


@pytest.fixture(scope="module")
def announced(ward: Journey) -> dict[str, Any]:
    """The step that the plan announces for the server."""
    steps = ward.document("plan")["steps"]
    return next(step for step in steps if step["id"] == "k3s_server")


@pytest.fixture(scope="module")
def running(ward: Journey, announced: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """The pods before the upgrade."""
    return pods(ward)


@pytest.fixture(scope="module")
def lifted(ward: Journey, running: dict[str, tuple[str, int]]) -> dict[str, Any]:
    """The summary of the upgrade."""
    return ward.bootstrap()


def test_the_plan_names_both_releases_and_the_restart(announced: dict[str, Any]) -> None:
    """Who reads it knows what will run, that the API is away for a moment, and that there is a way back."""
    reason = announced["reason"][SERVER]
    assert f"k3s {before()} → {now()}" in reason
    assert "the k3s that runs and its datastore are kept first" in reason
    assert announced["restarts"] == [f"k3s.service on {SERVER}"]


def test_the_node_runs_the_new_release(ward: Journey, lifted: dict[str, Any]) -> None:
    """The program, its process and the kubelet; every check is green and the model answers."""
    assert now() in ward.on_host("k3s --version")
    kubelet = "k3s kubectl get nodes -o jsonpath={.items[0].status.nodeInfo.kubeletVersion}"
    assert ward.on_host(kubelet) == now()
    assert [c["sentence"] for c in lifted["checks"] if c["result"] == "FAIL"] == []
    assert lifted["words"]["answer"]


def test_pods_went_on(ward: Journey, running: dict[str, tuple[str, int]], lifted: dict[str, Any]) -> None:
    """Not one was replaced, and no container was started again."""
    after = pods(ward)
    assert {name: after.get(name) for name in running} == running


def test_what_ran_before_is_kept_for_root_alone(ward: Journey, lifted: dict[str, Any]) -> None:
    """The old program runs, the datastore is whole; the summary says how to go back."""
    kept = f"/var/lib/aiplat/k3s-before/{before()}"
    assert before() in ward.on_host(f"{kept}/k3s --version")
    assert set(ward.on_host(f"ls {kept}").split()) >= {"k3s", "config.yaml", "token", "state.db"}
    assert ward.on_host(f"stat -c %a {kept}").strip() == "700"
    assert any("to go back: systemctl stop k3s" in note for note in lifted["notes"])


def test_only_the_folder_that_nobody_uses_is_gone(ward: Journey, lifted: dict[str, Any]) -> None:
    """The one before stays while pods' shims run from it; the forsaken one is named and removed."""
    left = ward.on_host(f"ls {DATA}").split()
    assert FORSAKEN not in left
    assert len([name for name in left if len(name) == len(FORSAKEN)]) == 2
    assert any(FORSAKEN[:12] in note for note in lifted["notes"])


def test_the_second_run_changes_nothing(ward: Journey, lifted: dict[str, Any]) -> None:
    """Nor does it restart anything."""
    units = ward.units()
    summary = ward.bootstrap()
    assert (summary["changed"], summary["restarts"]) == (0, [])
    assert ward.units() == units


def test_the_way_back_is_refused_by_the_earlier_aiplat(
    ward: Journey, lifted: dict[str, Any], tmp_path: Path
) -> None:
    """An older k3s cannot read this datastore; the plan says so and what to do."""
    checkout = earlier_checkout(tmp_path / "aiplat")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(checkout))
        said = ward.aiplat("plan", str(ward.site_file), expect=2).stderr
    assert f"k3s {now()} runs, and {before()} is older" in said
