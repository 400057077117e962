"""What the portal's account may ask of a real API server, and reports of runs kept by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from aiplat.cluster.raw import RawObjects, Refused
from aiplat.cluster.run_reports import ReportShelf
from aiplat.runs.reporter import Reporter
from aiplat.runs.run import running
from aiplat.services.portal.runs import RunsLook
from tests.charts.conftest import VALUES, Helm, charts, documents, helm  # noqa: F401 - two are fixtures
from tests.patience import eventually
from tests.services.operator.api_server import ADMIN, ApiServer, api_server
from tests.services.portal.conftest import NAMESPACE
from tests.services.portal.test_runs import AT_WORK, DONE

# What the lab's hosts run has to be built first, which takes minutes once.
pytestmark = pytest.mark.lab
PLATFORM = ("aiplat-access", "aiplat-data", "aiplat-model", "aiplat-platform", NAMESPACE)
RBAC = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory,
    helm: Helm,  # noqa: F811 - the fixture
    charts: dict[str, Path],  # noqa: F811 - the fixture
) -> Iterator[ApiServer]:
    """An API server with the rights that the portal's release brings."""
    given = ("-n", NAMESPACE, "-f", VALUES / "values-portal.yaml")
    rendered = helm("template", "portal", charts["portal"], *given)
    assert rendered.returncode == 0, rendered.stderr
    server = api_server(tmp_path_factory.mktemp("api"))
    try:
        server.start()
        for name in (*PLATFORM, "team-red"):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            assert server.apply(namespace) == ""
        for document in documents(rendered.stdout):
            if document["kind"] in RBAC:
                assert server.apply(document) == ""
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def operator(api: ApiServer) -> RawObjects:
    """The cluster as whoever makes runs reaches it."""
    return RawObjects.of_kubeconfig(api.kubeconfig(ADMIN), "aiplat-cli")


@pytest.fixture(scope="module")
def portal(api: ApiServer, operator: RawObjects) -> RawObjects:
    """The cluster as the portal's pods reach it: by a token of their account."""
    file = api.kubeconfig(ADMIN)
    token = operator.token(NAMESPACE, "portal", 3600)
    named = file.with_name("portal.kubeconfig")
    named.write_text(file.read_text().replace(f"{ADMIN}-token", token))
    found = RawObjects.of_kubeconfig(named, "aiplat-portal")
    eventually(lambda: _may_list(found, "Node"))
    return found


def _may_list(objects: RawObjects, kind: str, namespace: str = "") -> bool:
    try:
        objects.listed(kind, namespace)
    except Refused as refused:
        return refused.status != httpx.codes.FORBIDDEN
    return True


def test_the_portal_reads_what_its_pages_show_and_nothing_else(portal: RawObjects) -> None:
    """Pods and events of the platform, reports in its own namespace; nothing of teams, nothing of others'."""
    for namespace in PLATFORM:
        assert _may_list(portal, "Pod", namespace), namespace
        assert _may_list(portal, "Event", namespace), namespace
        assert _may_list(portal, "ConfigMap", namespace) is (namespace == NAMESPACE)
        assert not _may_list(portal, "Service", namespace)
    for namespace in ("team-red", "kube-system", ""):
        for kind in ("Pod", "Event", "ConfigMap"):
            assert not _may_list(portal, kind, namespace), (kind, namespace)


def test_the_portal_changes_nothing(portal: RawObjects) -> None:
    """Not even reports of runs: those are written where runs are made."""
    with pytest.raises(Refused) as refused:
        ReportShelf(portal, NAMESPACE).put(DONE)
    assert refused.value.status == httpx.codes.FORBIDDEN


def test_a_run_that_is_made_here_is_seen_there(
    operator: RawObjects, portal: RawObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is made with its steps, and its end."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    shelf, seen = ReportShelf(operator, NAMESPACE), RunsLook(portal, NAMESPACE, PLATFORM)

    def steps() -> list[tuple[str, str]]:
        kept = anyio.run(seen.newest)
        return [(step.title, step.state) for step in kept.report.steps] if kept else []

    with Reporter("ward-3", lambda: shelf) as reporter, running("ward-3", "bootstrap", reporter.see) as run:
        with run.step("stage", "Stage content", ("s1",)):
            eventually(lambda: steps() == [("Stage content", "running")])
        eventually(lambda: steps() == [("Stage content", "done")])
    (kept,) = anyio.run(seen.happening).runs
    assert (kept.report.id, kept.report.state) == (run.id, "done")
    shelf.drop(run.id)


def test_a_report_is_kept_replaced_and_forgotten(operator: RawObjects, portal: RawObjects) -> None:
    """With the time by the cluster's own clock, which each report moves on."""
    written, read = ReportShelf(operator, NAMESPACE), RunsLook(portal, NAMESPACE, PLATFORM)
    written.put(AT_WORK)
    first = anyio.run(read.newest)
    assert first
    assert first.report == AT_WORK
    assert first.arrived
    written.put(AT_WORK.model_copy(update={"heard": "2026-01-03T03:04:24.000Z"}))
    (again,) = ReportShelf(portal, NAMESPACE).listed(at_work=True)
    assert again.version != first.version
    written.put(DONE)
    assert ReportShelf(portal, NAMESPACE).listed(at_work=True) == []
    happening = anyio.run(read.happening)
    assert (happening.fault, [kept.report for kept in happening.runs]) == ("", [DONE])
    written.drop(DONE.id)
    assert ReportShelf(portal, NAMESPACE).listed() == []
