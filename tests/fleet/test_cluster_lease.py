"""The run's lease on a cluster: one holder, named to others; what happens when it dies or is cut off."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiplat.cluster.run_lease import LeaseUnseen
from aiplat.fleet import cluster_lease
from aiplat.fleet.cluster_lease import hold_cluster, other_run
from aiplat.fleet.lease import SILENCE_SECONDS, LeaseError, this_process
from tests.cluster.kube import Kube
from tests.patience import PATIENCE, until

HOLDER = "aiplat.dev/run-holder"
ELSEWHERE = {**this_process(), "run": "run-1", "user": "ann", "host": "desk", "machine": "another", "pid": 7}


@pytest.fixture
def kube() -> Iterator[Kube]:
    """A cluster in which nobody is at work."""
    with Kube() as server:
        yield server


@pytest.fixture
def kubeconfig(kube: Kube, tmp_path: Path) -> Path:
    """How it is reached."""
    kube.write_kubeconfig(tmp_path / "kubeconfig")
    return tmp_path / "kubeconfig"


def held(kubeconfig: Path, run: str, ended: threading.Event | None = None) -> AbstractContextManager[None]:
    """The lease for a run; `ended` is set when the run is to end."""
    return hold_cluster(kubeconfig, "cluster c", run, ended.set if ended else lambda: None)


def of_another(holder: dict[str, Any], ago: float) -> dict[str, Any]:
    """A lease that somebody renewed some seconds ago."""
    renewed = datetime.now(UTC) - timedelta(seconds=ago)
    meta = {"name": "aiplat-run", "namespace": "kube-system", "uid": "u", "resourceVersion": "1"}
    spec = {"leaseDurationSeconds": SILENCE_SECONDS, "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {**meta, "annotations": {HOLDER: json.dumps(holder)}},
        "spec": spec,
    }


def holder_of(kube: Kube) -> dict[str, Any]:
    """Who holds the lease, in its own words."""
    assert kube.lease is not None
    said: dict[str, Any] = json.loads(kube.lease["metadata"]["annotations"][HOLDER])
    return said


def test_a_lease_is_held_and_removed_after_it(kube: Kube, kubeconfig: Path) -> None:
    """Inside the block it names this process; after it the cluster is as it was."""
    with held(kubeconfig, "run-1"):
        assert (holder_of(kube)["run"], holder_of(kube)["pid"]) == ("run-1", os.getpid())
        assert other_run(kubeconfig) == ""
    assert kube.lease is None


def test_a_second_run_is_refused_and_told_who_holds_it_until_when(kube: Kube, kubeconfig: Path) -> None:
    """The refusal names run, user, machine, process and the end; the lease stays with the first."""
    kube.lease = of_another(ELSEWHERE, 1)
    said = r"is being changed by run run-1 \(ann@desk, process 7; its lease falls at \d\d:\d\d:\d\d UTC"
    with (
        pytest.raises(
            LeaseError, match=rf"cluster c: {said}.*a dead run's lease falls after 30 s"
        ) as refused,
        held(kubeconfig, "run-2"),
    ):
        pass
    assert (refused.value.exit_code, holder_of(kube)["run"]) == (1, "run-1")
    assert other_run(kubeconfig).startswith("is being changed by run run-1 (ann@desk")


def test_two_that_begin_at_once_are_one_that_holds_it(kube: Kube, kubeconfig: Path) -> None:
    """The API keeps the first; whoever looked before that is refused all the same."""
    with ExitStack() as both:
        both.enter_context(held(kubeconfig, "run-1"))
        with pytest.raises(LeaseError, match="run run-1"):
            both.enter_context(held(kubeconfig, "run-2"))
    assert kube.lease is None


@pytest.mark.parametrize(
    "holder",
    [pytest.param(ELSEWHERE, id="silent"), pytest.param({}, id="of nobody who says so")],
)
def test_a_lease_that_is_not_renewed_falls(kube: Kube, kubeconfig: Path, holder: dict[str, Any]) -> None:
    """A killed run on another machine is waited for no longer than the lease says."""
    kube.lease = of_another(holder, SILENCE_SECONDS + 2)
    assert other_run(kubeconfig) == ""
    with held(kubeconfig, "run-2"):
        assert holder_of(kube)["run"] == "run-2"


def test_a_dead_holder_of_this_machine_is_replaced_at_once(kube: Kube, kubeconfig: Path) -> None:
    """That its process is gone can be seen here."""
    dead = {**this_process(), "run": "run-1", "pid": 2**22 + 1, "started": "1"}
    kube.lease = of_another(dead, 0)
    with held(kubeconfig, "run-2"):
        assert holder_of(kube)["run"] == "run-2"


def test_operators_clocks_do_not_matter(
    kube: Kube, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times are the API server's: a machine whose clock is an hour fast takes no lease that is held."""

    class Fast(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(hours=1)

    monkeypatch.setattr("aiplat.cluster.run_lease.datetime", Fast)
    kube.lease = of_another(ELSEWHERE, 1)
    with pytest.raises(LeaseError), held(kubeconfig, "run-2"):
        pass
    kube.lease = None
    with held(kubeconfig, "run-2"):
        assert kube.lease is not None
        renewed = datetime.fromisoformat(kube.lease["spec"]["renewTime"])
        assert abs((renewed - datetime.now(UTC)).total_seconds()) < PATIENCE


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hearts beat fast and patience ends soon."""
    monkeypatch.setattr(cluster_lease, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(cluster_lease, "_GIVE_UP_SECONDS", 0.1)


def work_until(kubeconfig: Path, run: str, happens: Callable[[], None]) -> None:
    """Hold the lease for a run in which something happens, until the run is to end."""
    ended = threading.Event()
    with held(kubeconfig, run, ended):
        happens()
        assert ended.wait(PATIENCE)


@pytest.mark.usefixtures("hasty")
def test_a_held_lease_is_renewed(kube: Kube, kubeconfig: Path) -> None:
    """As long as the run is at work."""
    with held(kubeconfig, "run-1"):
        before = kube.applied
        until(lambda: kube.applied > before + 2)


@pytest.mark.usefixtures("hasty")
def test_a_lease_is_renewed_by_the_credentials_of_then(kube: Kube, kubeconfig: Path) -> None:
    """What a program of the cluster's gave at the beginning may end during a long run."""
    with Kube() as other, held(kubeconfig, "run-1"):
        other.lease, other.applied = kube.lease, kube.applied
        other.write_kubeconfig(kubeconfig)
        kube.refuse = 401
        until(lambda: other.applied > kube.applied)


@pytest.mark.usefixtures("hasty")
def test_a_lease_that_another_took_ends_the_run(kube: Kube, kubeconfig: Path) -> None:
    """What the run has started is ended, and the other's lease stays."""
    said = r"lease on it was lost.*changed by run run-1 \(ann@desk"
    with pytest.raises(LeaseError, match=said):
        work_until(kubeconfig, "run-2", lambda: setattr(kube, "lease", of_another(ELSEWHERE, 0)))
    assert holder_of(kube)["run"] == "run-1"


@pytest.mark.usefixtures("hasty")
def test_a_run_that_cannot_renew_its_lease_ends_before_another_may_begin(
    kube: Kube, kubeconfig: Path
) -> None:
    """The cluster is silent: nobody knows what another machine sees by then."""
    with pytest.raises(LeaseError, match="lease on it was lost"):
        work_until(kubeconfig, "run-1", lambda: setattr(kube, "refuse", 503))


def test_who_may_take_no_lease_is_told(kube: Kube, kubeconfig: Path) -> None:
    """A run that cannot keep others out changes nothing."""
    kube.refuse = 403
    said = "cannot be told: Forbidden; see whether `kubectl get leases"
    with pytest.raises(LeaseUnseen, match=said), held(kubeconfig, "run-1"):
        pass
