"""Requests as the API wants them, and what is made of its answers; a real API is asked in the lab."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from aiplat.cluster.raw import LogQuery, NoAnswer, RawObjects, Refused, kind_of
from aiplat.errors import BadInput

MODEL: dict[str, Any] = {
    "apiVersion": "aiplat.dev/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "m", "namespace": "n"},
    "spec": {"a": 1},
}


class Api(HTTPServer):
    """Answers every request with what it was given, and remembers the last one."""

    answer: tuple[int, bytes] = (200, b"{}")
    seen: tuple[str, str, str, bytes] = ("", "", "", b"")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Api

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen = (self.command, self.path, self.headers.get("content-type", ""), body)
        self.send_response(self.server.answer[0])
        self.send_header("content-length", str(len(self.server.answer[1])))
        self.end_headers()
        self.wfile.write(self.server.answer[1])

    do_GET = do_PATCH = do_DELETE = _any  # noqa: N815 - names that http.server looks for

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    """A server on a free port."""
    server = Api(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def objects(api: Api, tmp_path: Path) -> RawObjects:
    """Its objects, by a kubeconfig."""
    return RawObjects.of_kubeconfig(kubeconfig(tmp_path, api.server_port), "tester")


def kubeconfig(folder: Path, port: int) -> Path:
    """Write a kubeconfig that leads to a port of this machine."""
    named: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
    named["clusters"] = [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}]
    named["users"] = [{"name": "u", "user": {}}]
    named["contexts"] = [{"name": "c", "context": {"cluster": "c", "user": "u"}}]
    path = folder / "kubeconfig"
    path.write_text(json.dumps(named))
    return path


def test_an_object_is_applied_by_the_server(api: Api, objects: RawObjects) -> None:
    """Under the manager's name, taking fields over that others set."""
    api.answer = (200, json.dumps({**MODEL, "status": {}}).encode())
    assert objects.apply(MODEL)["status"] == {}
    method, path, kind, body = api.seen
    assert (method, kind) == ("PATCH", "application/apply-patch+yaml")
    assert path == "/apis/aiplat.dev/v1alpha1/namespaces/n/models/m?fieldManager=tester&force=true"
    assert json.loads(body) == MODEL
    objects.apply(MODEL, "status")
    assert "/models/m/status?" in api.seen[1]


def test_items_of_a_list_say_what_they_are(api: Api, objects: RawObjects) -> None:
    """The API leaves kind and version out of them."""
    document = {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "p"}}]}
    api.answer = (200, json.dumps(document).encode())
    (pod,) = objects.listed("Pod", "n", "a=b")
    assert (pod["kind"], pod["apiVersion"], pod["metadata"]["name"]) == ("Pod", "v1", "p")
    assert api.seen[1] == "/api/v1/namespaces/n/pods?labelSelector=a%3Db"


def test_a_long_list_is_read_page_by_page(api: Api, objects: RawObjects) -> None:
    """No more than a page is held at once."""
    first = {"metadata": {"continue": "there"}, "items": [{"metadata": {"name": "a"}}]}
    api.answer = (200, json.dumps(first).encode())
    every = objects.each("Pod", page=1)
    assert next(every)["metadata"]["name"] == "a"
    assert api.seen[1] == "/api/v1/pods?limit=1"
    api.answer = (200, json.dumps({"metadata": {}, "items": [{"metadata": {"name": "b"}}]}).encode())
    assert [item["metadata"]["name"] for item in every] == ["b"]
    assert api.seen[1] == "/api/v1/pods?limit=1&continue=there"


def test_what_is_not_there_is_none_and_not_an_error(api: Api, objects: RawObjects) -> None:
    """Reading and deleting alike."""
    api.answer = (404, b'{"message": "not found"}')
    assert objects.read("Node", "", "n1") is None
    assert objects.delete("Service", "n", "s", uid="u") is False
    assert json.loads(api.seen[3])["preconditions"] == {"uid": "u"}


def test_a_refusal_is_the_apis_own_sentence(api: Api, objects: RawObjects) -> None:
    """With the HTTP status for those who know what to do about it."""
    api.answer = (422, b'{"message": "spec.replicas: must be less than 100"}')
    with pytest.raises(Refused, match=r"models/m.*: spec.replicas: must be less than 100") as refused:
        objects.apply(MODEL)
    assert refused.value.status == 422


def test_a_log_is_read_line_by_line(api: Api, objects: RawObjects) -> None:
    """The last line need not end."""
    api.answer = (200, b"one\ntwo")
    assert list(objects.log("n", "p", LogQuery(tail=2, container="c"))) == ["one", "two"]
    assert api.seen[1] == "/api/v1/namespaces/n/pods/p/log?tailLines=2&timestamps=true&container=c"


def test_nobody_there_is_said_soon(tmp_path: Path) -> None:
    """Without a second try."""
    with pytest.raises(NoAnswer, match="cannot be asked"):
        RawObjects.of_kubeconfig(kubeconfig(tmp_path, 1), "tester").listed("Node")


def test_a_kubeconfig_that_leads_nowhere_says_how_to_get_another(tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "kubeconfig").write_text("{}")
    with pytest.raises(BadInput, match=r"kubeconfig: is not a kubeconfig.*aiplat bootstrap"):
        RawObjects.of_kubeconfig(tmp_path / "kubeconfig", "tester")


def test_models_of_two_groups_are_two_kinds() -> None:
    """Everything else goes by its kind."""
    assert kind_of(MODEL) == "Model.aiplat.dev"
    assert kind_of({"apiVersion": "apps/v1", "kind": "Deployment"}) == "Deployment"
