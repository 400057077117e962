"""The modules of plane_release: what is touched, what is taken over, what goes, and what a failure says."""

from __future__ import annotations

import hashlib
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aiplat.fleet.remote import probe_host
from tests.roles.conftest import load_module

BLOBS = "/data/plat/blobs"
INPUTS = "a" * 63
ROW = "{ns} sh.helm.release.v1.{name}.v{number} helm.sh/release.v1 1 5m {name} {number} {status} {inputs}"


def row(name: str, number: int, status: str, inputs: str = INPUTS) -> str:
    """Return a line of the table in which releases are listed."""
    return ROW.format(ns="aiplat-model", name=name, number=number, status=status, inputs=inputs)


class Cluster:
    """Stands for helm and kubectl: answers the listing, remembers every other call, fails where told."""

    def __init__(self, module: ModuleType, rows: list[str]) -> None:
        self.module, self.rows = module, rows
        self.calls: list[str] = []
        self.fails: dict[str, str] = {}

    def kubectl(self, *arguments: str, **_more: Any) -> str:
        """Answer as kubectl."""
        if arguments[:2] == ("get", "secrets"):
            return "\n".join(self.rows)
        self.calls.append(" ".join(arguments))
        return ""

    def helm(self, *arguments: str, **_more: Any) -> str:
        """Answer as helm."""
        self.calls.append(f"helm {' '.join(arguments)}")
        if arguments[0] in self.fails:
            raise self.module.HostProblem(self.fails[arguments[0]])
        return ""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Return a staged chart."""
    path = tmp_path / "chart"
    path.write_bytes(b"chart")
    return path


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, chart: Path) -> Callable[..., Cluster]:
    """Return a function that makes a cluster with some revisions."""
    module = load_module("plane_release/library/helm_releases.py")

    def make(*rows: str) -> Cluster:
        made = Cluster(module, list(rows))
        monkeypatch.setattr(module, "pod_troubles", lambda _namespace: "ollama-1: Failed: cannot pull")
        monkeypatch.setattr(module, "kubectl", made.kubectl)
        monkeypatch.setattr(module, "helm", made.helm)
        monkeypatch.setattr(module, "blob", lambda store, _digest: chart if store == Path(BLOBS) else None)
        return made

    return make


def release(name: str = "ollama", inputs: str = INPUTS) -> dict[str, Any]:
    """Return a wanted release."""
    digest = f"sha256:{hashlib.sha256(b'chart').hexdigest()}"
    base = {"name": name, "namespace": "aiplat-model", "chart": digest, "chart_ref": f"{name}:1"}
    return {**base, "values": "{}", "inputs": inputs, "timeout_seconds": 5}


def ensure(cluster: Cluster, *releases: dict[str, Any], others: bool = False) -> list[str]:
    """Bring the cluster to the wanted releases."""
    parameters = {"releases": list(releases), "uninstall_others": others, "blobs": BLOBS}
    done: list[str] = cluster.module.ensure_all(parameters, False)
    return done


def test_an_unchanged_release_is_not_touched(cluster: Callable[..., Cluster]) -> None:
    """The newest revision is deployed and made of the same: helm is not even started."""
    seen = cluster(row("ollama", 1, "superseded", "b" * 63), row("ollama", 10, "deployed"))
    assert ensure(seen, release()) == []
    assert seen.calls == []


def made(kind: str, name: str, release: str, model: str = "", **wanted: Any) -> dict[str, Any]:
    """Return an object of the cluster as Helm made it."""
    labels = {"aiplat.dev/model": model} if model else {}
    notes = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "aiplat-model"}
    meta = {"namespace": "aiplat-model", "name": name, "labels": labels, "annotations": notes}
    return {"kind": kind, "metadata": meta, **wanted}


def shows(monkeypatch: pytest.MonkeyPatch, *items: dict[str, Any]) -> ModuleType:
    """Let the cluster have these objects, and return what lists them."""
    objects = sys.modules["ansible.module_utils.aiplat_objects"]
    monkeypatch.setattr(objects, "kubectl", lambda *_arguments: json.dumps({"items": list(items)}))
    return objects


ENGINE = made("Deployment", "engine", "ollama", spec={"replicas": 1})


@pytest.mark.parametrize(
    ("now", "done"),
    [
        ({**ENGINE, "status": {"replicas": 0}}, []),
        ({**ENGINE, "spec": {"replicas": 0}}, ["ollama upgraded"]),
        (made("Deployment", "other", "ollama"), ["ollama upgraded"]),
    ],
    ids=["unchanged", "changed", "gone"],
)
def test_a_release_that_somebody_changed_is_deployed_again(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch, now: dict[str, Any], done: list[str]
) -> None:
    """The ledger knows what a release made; what is gone or is wanted otherwise is put right."""
    seen = cluster(row("ollama", 1, "deployed"))
    objects = shows(monkeypatch, ENGINE)
    ledger = {"steps": {"plane_release": {"objects": objects.seen_objects()}}}
    monkeypatch.setattr(seen.module, "read_ledger", lambda _root, _site: ledger)
    monkeypatch.setattr(seen.module, "seen_objects", shows(monkeypatch, now).seen_objects)
    parameters = {"releases": [release()], "uninstall_others": False, "site": "ward", "blobs": BLOBS}
    assert seen.module.ensure_all(parameters, False) == done


def test_engines_belong_to_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a release of a former version made of a model is not drift where it goes."""
    load_module("plane_release/library/release_objects.py")
    engine = made("Deployment", "model-x", "ollama", model="x")
    operator = made("ConfigMap", "c", "operator", data={"a": "b"})
    assert set(shows(monkeypatch, engine, operator).seen_objects()) == {"configmap/aiplat-model/c"}


def test_objects_of_others_releases_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cluster that others use too, whatever their releases are called."""
    load_module("plane_release/library/release_objects.py")
    ours, theirs = made("ConfigMap", "a", "ollama"), made("ConfigMap", "b", "ollama")
    theirs["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = "shop"
    seen = shows(monkeypatch, ours, theirs).seen_objects({("aiplat-model", "ollama")})
    assert set(seen) == {"configmap/aiplat-model/a"}


def test_roles_and_probe_agree_on_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a role records is what the probe compares with, for every part of an object that may be wanted."""
    load_module("plane_release/library/release_objects.py")
    parts = ("spec", "data", "binaryData", "rules", "roleRef", "subjects")
    item = made("Role", "r", "ollama", **{part: {part: [1]} for part in parts})
    (found,) = shows(monkeypatch, item).seen_objects().values()
    assert found["digest"] == probe_host.wanted_of(item)
    assert probe_host.wanted_of({**item, "rules": []}) != found["digest"]


@pytest.mark.parametrize(("status", "inputs"), [("deployed", "b" * 63), ("failed", INPUTS)])
def test_a_changed_or_failed_release_is_upgraded(
    cluster: Callable[..., Cluster], status: str, inputs: str
) -> None:
    """Other inputs or another status than deployed is a reason."""
    seen = cluster(row("ollama", 1, status, inputs))
    assert ensure(seen, release()) == ["ollama upgraded"]
    assert f"--labels aiplat.dev/inputs={INPUTS}" in seen.calls[0]


def test_a_revision_left_pending_is_forgotten_first(cluster: Callable[..., Cluster]) -> None:
    """A killed run does not block the next, and what was deployed before stays known."""
    seen = cluster(row("ollama", 1, "deployed"), row("ollama", 2, "pending-upgrade"))
    assert ensure(seen, release()) == ["ollama upgraded"]
    assert seen.calls[0] == "delete secret --namespace aiplat-model sh.helm.release.v1.ollama.v2"
    assert seen.calls[1].startswith("helm upgrade --install")


def test_a_failed_upgrade_is_rolled_back_and_told(cluster: Callable[..., Cluster]) -> None:
    """The cause holds helm's words, the cluster's warning and what came of it."""
    seen = cluster(row("ollama", 3, "deployed", "b" * 63))
    seen.fails["upgrade"] = "deadline exceeded"
    with pytest.raises(seen.module.HostProblem) as failure:
        ensure(seen, release())
    for part in ("release ollama", "deadline exceeded", "cannot pull", "rolled back to revision 3"):
        assert part in str(failure.value)
    assert seen.calls[-1].startswith("helm rollback ollama 3")


def test_a_rollback_that_fails_too_is_told(cluster: Callable[..., Cluster]) -> None:
    """Neither failure hides the other."""
    seen = cluster(row("ollama", 3, "deployed", "b" * 63))
    seen.fails |= {"upgrade": "first", "rollback": "second"}
    with pytest.raises(seen.module.HostProblem, match=r"first.*failed too: second"):
        ensure(seen, release())


def test_a_failed_first_install_is_left_to_look_at(cluster: Callable[..., Cluster]) -> None:
    """There is nothing to go back to."""
    seen = cluster()
    seen.fails["upgrade"] = "deadline exceeded"
    with pytest.raises(seen.module.HostProblem, match="it is left as it is"):
        ensure(seen, release())


def test_one_failure_does_not_hide_another(cluster: Callable[..., Cluster]) -> None:
    """Releases of one order run side by side, and all that fail are named."""
    seen = cluster()
    seen.fails["upgrade"] = "x"
    with pytest.raises(seen.module.HostProblem, match=r"release (a|b).*release (a|b)"):
        ensure(seen, release("a"), release("b"))


def test_a_damaged_chart_is_never_installed(cluster: Callable[..., Cluster], chart: Path) -> None:
    """The digest is checked when the chart is used."""
    seen = cluster()
    chart.write_bytes(b"chart\x00")
    with pytest.raises(seen.module.HostProblem, match="the staged chart ollama:1 is damaged"):
        ensure(seen, release())
    assert seen.calls == []


def test_only_our_own_releases_are_uninstalled(cluster: Callable[..., Cluster]) -> None:
    """A release without our label is somebody else's."""
    seen = cluster(row("ollama", 1, "deployed"), row("old", 1, "deployed"), row("theirs", 1, "deployed", ""))
    assert ensure(seen, release(), others=True) == ["old uninstalled"]
    assert seen.calls == ["helm uninstall old --namespace aiplat-model --wait --ignore-not-found"]


def test_a_release_that_leaves_gives_its_port_back_before_others_are_deployed(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what holds a port of the host goes that early; nothing is deployed yet."""
    seen = cluster(row("door", 1, "deployed"), row("old", 1, "deployed"), row("ollama", 1, "failed"))
    ports = {"door": [{"containerPort": 8443, "hostPort": 443}], "old": [{"containerPort": 80}]}

    def kubectl(*arguments: str, **_more: Any) -> str:
        if arguments[:2] == ("get", "secrets"):
            return seen.kubectl(*arguments)
        name = arguments[arguments.index("--selector") + 1].rpartition("=")[2]
        return json.dumps({"items": [{"spec": {"containers": [{"ports": ports[name]}, {}]}}]})

    monkeypatch.setattr(seen.module, "kubectl", kubectl)
    parameters = {"releases": [release()], "free_ports": True, "blobs": BLOBS}
    assert seen.module.ensure_all(parameters, False) == ["door uninstalled"]
    assert seen.calls == ["helm uninstall door --namespace aiplat-model --wait --ignore-not-found"]


def test_secrets_are_compared_by_what_they_hold() -> None:
    """Labels that others added do not count; data, type and our labels do."""
    module = load_module("plane_release/library/cluster_objects.py")
    entry = {"name": "s", "namespace": "n", "type": "Opaque", "labels": {"a": "b"}, "string_data": {"k": "v"}}
    wanted = module.secret(entry)
    seen = {
        **wanted,
        "metadata": {**wanted["metadata"], "labels": {**wanted["metadata"]["labels"], "x": "y"}},
    }
    assert not module.differs(wanted, seen)
    assert module.differs(wanted, None)
    assert module.differs(wanted, {**seen, "data": {"k": "b3RoZXI="}})
    assert module.differs(wanted, {**seen, "type": "kubernetes.io/tls"})


def test_secrets_of_ours_that_are_not_wanted_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that aiplat did not make stay."""
    module = load_module("plane_release/library/cluster_objects.py")
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(module, "kubectl", lambda *arguments, **_more: calls.append(arguments))
    ours = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "aiplat"}}}
    theirs: dict[str, Any] = {"metadata": {"labels": None}}
    gone = module.remove_others(
        [], {("aiplat-n", "old"): ours, ("aiplat-n", "theirs"): theirs, ("shop", "copy"): ours}, False
    )
    assert gone == ["Secret aiplat-n/old removed"]
    assert [call[-2] for call in calls] == ["old"]


def test_values_with_secrets_come_from_the_runs_own_folder(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Helm gets them on its standard input; what it says of them is told without the secret."""
    seen = cluster()
    given: list[str] = []

    def helm(*_arguments: str, stdin: str = "", **_more: Any) -> str:
        given.append(stdin)
        raise seen.module.HostProblem(f"cannot parse {stdin!r}")

    monkeypatch.setattr(seen.module, "helm", helm)
    monkeypatch.setattr(seen.module, "PRIVATE", tmp_path)
    private = {"values": "password: hunter2\n", "secrets": ["hunter2"]}
    (tmp_path / "ollama.json").write_text(json.dumps(private))
    public = {**release(), "values": "password: {fromSecret: hub}\n", "secret_names": ["hub"]}
    with pytest.raises(seen.module.HostProblem, match=r"cannot parse .*password: \(a secret\)") as failure:
        ensure(seen, public)
    assert given == ["password: hunter2\n"]
    told = "".join(traceback.format_exception(failure.value))
    assert "hunter2" not in told


def test_a_release_is_not_deployed_without_its_secrets(
    cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A chart never gets a reference in the place of a secret."""
    seen = cluster()
    monkeypatch.setattr(seen.module, "PRIVATE", tmp_path)
    with pytest.raises(seen.module.HostProblem, match="its values with hub are not here"):
        ensure(seen, {**release(), "secret_names": ["hub"]})
    assert seen.calls == []


def test_no_line_of_a_secret_is_repeated() -> None:
    """A key in PEM form is often told line by line."""
    module = load_module("plane_release/library/helm_releases.py")
    key = "-----BEGIN-----\nAAAA\nBBBB\n-----END-----\n"
    assert module.without([key], "bad line: BBBB") == "bad line: (a secret)"


def test_pods_see_a_changed_secret_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that mount it are touched, and no other; one that left meanwhile is not a fault."""
    module = load_module("plane_release/library/cluster_objects.py")
    mounts = {"gateway-1": ["gateway-keys"], "gateway-2": ["gateway-keys"], "other": ["another"], "bare": []}
    pods = [
        {"metadata": {"name": n}, "spec": {"volumes": [{"secret": {"secretName": s}} for s in secrets]}}
        for n, secrets in mounts.items()
    ]
    touched: list[str] = []

    def kubectl(*words: str) -> str:
        if words[0] == "get":
            return json.dumps({"items": pods})
        touched.append(words[5])
        if words[5] == "gateway-1":
            raise module.HostProblem("not found")
        return ""

    monkeypatch.setattr(module, "kubectl", kubectl)
    module.hurry(["Secret aiplat-access/gateway-keys", "Namespace aiplat-data"])
    assert touched == ["gateway-1", "gateway-2"]
