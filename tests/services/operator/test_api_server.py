"""The operator as a process of its own, under its own account, against a real API server without nodes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ruamel.yaml import YAML

from aiplat.actions import model as actions
from aiplat.cluster.look import look
from aiplat.cluster.raw import RawObjects
from aiplat.errors import BadInput
from aiplat.plan.cluster_needs import RIGHTS, judge_cluster
from aiplat.state import site_dir
from tests import patience
from tests.patience import PATIENCE
from tests.plan.test_golden import SITE
from tests.ports import free_port
from tests.services.operator.api_server import (
    ADMIN,
    OPERATOR,
    ApiServer,
    Document,
    api_server,
    install,
)
from tests.services.operator.worlds import bundle, model, node, ollama_model

# What the lab's hosts run has to be built first, which takes minutes once.
pytestmark = pytest.mark.lab
GOLDEN = Path(__file__).parents[2] / "charts" / "golden"
FORMER = Path(__file__).with_name("former-release.yaml")
SPACE = "aiplat-model"
SITES = {"engine-small-1b"}
SMALL: Document = {"source": {"catalogue": "small"}}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with what the operator's release brings, and one node of two cores."""
    server = api_server(tmp_path_factory.mktemp("api"))
    try:
        server.start()
        _install(server)
        yield server
    finally:
        server.stop()


def _install(server: ApiServer) -> None:
    install(server, _documents(GOLDEN / "operator.yaml"))
    described = node()
    assert server.apply({**described, "spec": {}, "status": {}}) == ""
    assert server.apply(described, "/status") == ""


def _documents(path: Path) -> list[Document]:
    return [d for d in YAML(typ="safe", pure=True).load_all(path.read_text()) if d]


class Gateway:
    """Says how many requests `asleep` has, where a gateway's pod would."""

    def __init__(self) -> None:
        self.waiting = 0
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                for name, count in (("in_flight", 0), ("waiting", gateway.waiting)):
                    full = f"aiplat_gateway_{name}"
                    self.wfile.write(f'# TYPE {full} gauge\n{full}{{model="asleep"}} {count}\n'.encode())

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Operator:
    """The operator's process; killed and started as often as a test likes."""

    def __init__(self, api: ApiServer, folder: Path, gateway_port: int) -> None:
        (folder / "bundle.json").write_text(bundle().model_dump_json(by_alias=True))
        options = {
            "--bundle": folder / "bundle.json",
            "--kubeconfig": api.kubeconfig(OPERATOR),
            "--health-port": free_port(),
            "--gateway-port": gateway_port,
        }
        self._command = [sys.executable, "-m", "aiplat.services.operator"]
        self._command += [str(part) for option in options.items() for part in option]
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, without waiting for anything."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=dict(os.environ))

    def end(self, how: signal.Signals) -> int:
        """Send it a signal and return its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(PATIENCE)

    @property
    def log(self) -> str:
        """What it said."""
        return self._log.read_text()


@pytest.fixture(scope="module")
def gateway(api: ApiServer) -> Iterator[Gateway]:
    """A gateway's pod, as far as the operator sees one."""
    meta = {"name": "gateway", "namespace": "aiplat-access", "labels": {"app.kubernetes.io/name": "gateway"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
    ready = {"type": "Ready", "status": "True"}
    status = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "conditions": [ready]}
    assert api.apply({**pod, "spec": {"containers": [{"name": "c", "image": "x"}]}}) == ""
    assert api.apply({**pod, "status": status}, "/status") == ""
    found = Gateway()
    yield found
    found.server.shutdown()


@pytest.fixture(scope="module")
def operator(
    api: ApiServer, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """The operator at work."""
    process = Operator(api, tmp_path_factory.mktemp("operator"), gateway.port)
    process.start()
    yield process
    assert process.end(signal.SIGTERM) == 0, process.log


@pytest.fixture(scope="module")
def objects(api: ApiServer) -> RawObjects:
    """The objects, as their administrator sees them."""
    return RawObjects.of_kubeconfig(api.kubeconfig(ADMIN), "kubectl")


T = TypeVar("T")


def until(look: Callable[[], T], operator: Operator) -> T:
    """Look again until something is seen, and return it; a failure shows the operator's log."""
    return patience.until(look, lambda: operator.log[-3000:])


def names(objects: RawObjects, kind: str) -> set[str]:
    """Return the names of what the operator made of a kind."""
    return {d["metadata"]["name"] for d in objects.listed(kind, SPACE, "aiplat.dev/managed-by=operator")}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"source": {}}, "give either a catalogue entry or an image"),
        ({**SMALL, "minReplicas": 3, "maxReplicas": 1}, "minReplicas must not be above maxReplicas"),
        ({"source": {"image": "x@sha256:" + "0" * 64}}, "weights that are named by image need an engine"),
        ({**SMALL, "resources": {}, "resourceProfile": "x"}, "exclude each other"),
        ({**SMALL, "replica": 1}, "field not declared in schema"),
        ({**SMALL, "resources": {"requests": {"cpu": "lots"}}}, "should match"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused_by_the_api(api: ApiServer, spec: Document, said: str) -> None:
    """Before anything is stored, in a sentence."""
    document = model("bad", spec)
    del document["metadata"]["uid"]
    assert said in api.apply(document)


def test_files_of_the_ollama_operator_are_taken_and_told_what_they_lack(
    api: ApiServer, operator: Operator, objects: RawObjects
) -> None:
    """In the namespace that kubectl takes by itself; `kubectl get` shows state and sentence."""
    for name in ("phi3", "llama3.1"):
        document = ollama_model(name)
        document["metadata"] = {"name": name, "namespace": "default"}
        assert api.apply(document) == ""
        until(lambda: api.table(document)["State"] == "Refused", operator)  # noqa: B023 - asked at once
    shown = api.table(ollama_model("phi3"))
    assert shown["Message"].startswith(
        "asks 4 CPU, the largest node has 2; asks 1 nvidia.com/gpu, no node has one"
    )
    assert "'llama3.1' is not in the site's bundle" in api.table(ollama_model("llama3.1"))["Message"]
    assert names(objects, "Deployment") <= SITES


def plain(name: str, **spec: Any) -> Document:
    """Return a Model without what only a server sets."""
    document = model(name, {**SMALL, "name": name, **spec})
    document["metadata"] = {"name": name, "namespace": SPACE}
    return document


def test_killed_again_and_again_it_ends_where_it_would_have(
    api: ApiServer, operator: Operator, objects: RawObjects
) -> None:
    """Models come and go all the while; at the end there is just what the last of them ask for."""
    wanted: set[str] = set()
    for number in range(6):
        api.apply(plain(f"m{number}", contextLength=1024 + number))
        wanted.add(f"model-m{number}")
        if number % 2:
            objects.delete("Model.aiplat.dev", SPACE, f"m{number - 1}")
            wanted.discard(f"model-m{number - 1}")
            # In the middle of a pass: the first object of the newest Model is there, or about to be.
            until(lambda: names(objects, "Service") - {"model-m0"} - SITES, operator)
            operator.end(signal.SIGKILL)
            operator.start()
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        until(lambda: names(objects, kind) == wanted | SITES, operator)  # noqa: B023 - asked at once
    for name in wanted:
        objects.delete("Model.aiplat.dev", SPACE, name.removeprefix("model-"))
    until(lambda: names(objects, "Deployment") == SITES, operator)


def test_what_a_node_says_of_a_pod_that_it_cannot_begin_is_told(
    api: ApiServer, operator: Operator, objects: RawObjects
) -> None:
    """The operator's account may read events where its pods are, and the API finds them by their reason."""
    stuck = plain("stuck")
    api.apply(stuck)
    meta = {"name": "stuck", "namespace": SPACE, "labels": {"aiplat.dev/model": "stuck"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
    assert api.apply({**pod, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}]}}) == ""
    made = objects.read("Pod", SPACE, "stuck")
    assert made
    about = {"kind": "Pod", "namespace": SPACE, "name": "stuck", "uid": made["metadata"]["uid"]}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "stuck", "namespace": SPACE}}
    told = {"reason": "FailedCreatePodSandBox", "message": "no network", "involvedObject": about}
    assert api.apply({**event, **told}) == ""
    until(lambda: api.table(stuck)["State"] == "Failing", operator)
    assert api.table(stuck)["Message"] == "no network"
    objects.delete("Pod", SPACE, "stuck")
    objects.delete("Model.aiplat.dev", SPACE, "stuck")
    until(lambda: names(objects, "Deployment") == SITES, operator)


def test_the_number_follows_what_the_gateways_say(
    api: ApiServer, operator: Operator, objects: RawObjects, gateway: Gateway
) -> None:
    """Asleep, woken by the first request that waits, grown, asleep again; `kubectl scale` fixes it."""
    asleep = plain("asleep", minReplicas=0, maxReplicas=2, targetRequests=2, scaleDownDelaySeconds=1)
    api.apply(asleep)

    def replicas() -> int:
        found = objects.read("Deployment", SPACE, "model-asleep")
        return int(found["spec"]["replicas"]) if found else -1

    until(lambda: replicas() == 0, operator)
    for waiting, number in ((1, 1), (5, 2), (0, 0)):
        gateway.waiting = waiting
        until(lambda: replicas() == number, operator)  # noqa: B023 - asked at once
    api.change(asleep, {"spec": {"replicas": 2}})
    until(lambda: replicas() == 2, operator)


def test_models_by_the_verbs_of_the_command_line(
    api: ApiServer, operator: Operator, objects: RawObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declared, followed, listed, found by the name clients use, taken away; the site's own is not."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    shutil.copyfile(api.kubeconfig(ADMIN), site_dir(SITE.name) / "kubeconfig")
    actions.declare(SITE, actions.manifest_of(actions.ModelOrder(name="mine", catalogue="small", minimum=0)))
    until(lambda: actions.find_model(SITE, "mine").state == "Starting", operator)
    assert "model-mine" in names(objects, "Deployment")
    actions.declare(SITE, actions.manifest_of(actions.ModelOrder(name="vast:70b")))
    refused = list(actions.follow(SITE, "vast-70b", 60))[-1]
    assert (refused.state, refused.message[:48]) == (
        "Refused",
        "the model 'vast:70b' is not in the site's bundle",
    )
    assert {"mine", "vast-70b", "small-1b"} <= {m.name for m in actions.list_models(SITE).models}
    for name in ("vast-70b", f"{SPACE}/mine"):
        actions.take_away(SITE, name)
    assert "model-mine" not in names(objects, "Deployment")
    with pytest.raises(BadInput, match="is declared in the site file"):
        actions.take_away(SITE, "small-1b")
    with pytest.raises(BadInput, match="there is no such Model"):
        actions.find_model(SITE, "vast-70b")


def test_an_engine_of_a_former_release_serves_until_the_operators_does(
    api: ApiServer, operator: Operator, objects: RawObjects
) -> None:
    """The gateway is given the new one when that has a replica; what Helm made is left to Helm."""
    former = [d for d in _documents(FORMER) if d["kind"] != "NetworkPolicy"]
    operator.end(signal.SIGKILL)
    for document in former:
        document["metadata"]["name"] = "model-small-1b"
        document["metadata"]["labels"]["aiplat.dev/model"] = "small-1b"
        assert api.apply(document) == ""
    for kind in ("Service", "Deployment"):
        objects.delete(kind, SPACE, "engine-small-1b")
    operator.start()
    made = until(lambda: objects.read("Deployment", SPACE, "engine-small-1b"), operator)
    assert "engine-small-1b" not in names(objects, "Service")
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    status = {**counts, "observedGeneration": made["metadata"]["generation"]}
    kept = {key: made[key] for key in ("apiVersion", "kind")}
    meta = {"name": "engine-small-1b", "namespace": SPACE}
    assert api.apply({**kept, "metadata": meta, "status": status}, "/status") == ""
    until(lambda: "engine-small-1b" in names(objects, "Service"), operator)
    site = until(lambda: objects.read("Model.aiplat.dev", SPACE, "small-1b"), operator)
    assert site["metadata"]["labels"] == {"aiplat.dev/managed-by": "site"}
    for document in former:
        left = objects.read(document["kind"], SPACE, "model-small-1b") or {}
        assert left["metadata"]["labels"] == document["metadata"]["labels"]


def test_a_cluster_is_looked_at_without_a_trace(api: ApiServer) -> None:
    """Version, features and rights are the API's own words; nothing that was sent is kept."""
    seen = look(api.kubeconfig(ADMIN), None, RIGHTS)
    assert seen.version.startswith("v1.")
    assert (seen.image_volumes, seen.refused, seen.default_classes) == (True, (), ())
    assert {need.name for need in judge_cluster(seen) if need.result == "missing"} >= {"storage", "free"}
    with api.client() as client:
        assert client.get("api/v1/namespaces/default/pods/aiplat-looks").status_code == 404


def test_somebody_who_may_little_learns_what_lacks(api: ApiServer) -> None:
    """The operator's own account makes Secrets in its namespace alone, and is told so."""
    seen = look(api.kubeconfig(OPERATOR), None, RIGHTS)
    assert RIGHTS[1] in seen.refused
    with pytest.raises(BadInput, match="cannot be used"):
        look(api.kubeconfig(OPERATOR), "no-such-context", RIGHTS)
