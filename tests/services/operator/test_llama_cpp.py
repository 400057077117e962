"""llama.cpp's engine is made of its component.yaml alone."""

from __future__ import annotations

from aiplat.services.operator.capacity import machine_of
from aiplat.services.operator.decide import Engaged, decide
from aiplat.services.operator.desired import desired
from aiplat.services.operator.model_spec import model_spec_of
from tests.services.operator.worlds import OTHER, Document, bundle, model, node, run_of


def container(**spec: object) -> Document:
    """Return the container of a Model of llama.cpp's."""
    engines: Document = bundle().model_dump(by_alias=True)["engines"]
    engines["llama-cpp"] = {**engines["ollama"], "run": run_of("llama-cpp")}
    asked = {"engine": "llama-cpp", "source": {"image": OTHER}, "name": "notes", **spec}
    found = decide(model_spec_of(model("notes", asked)), bundle(engines=engines), [machine_of(node())])
    assert isinstance(found, Engaged), found
    made = {d["kind"]: d for d in desired(found, "aiplat-model", 1)}
    first: Document = made["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    return {**first, "service": made["Service"]}


def test_the_context_is_that_of_all_requests_side_by_side() -> None:
    """The server shares it out; weights are one mounted file, served under the Model's name."""
    command = container(contextLength=1024, parallel=3)["command"]
    assert command[0] == "llama-server"
    pairs = {"--ctx-size": "3072", "--parallel": "3", "--alias": "notes", "--model": "/model/model.gguf"}
    assert {name: command[command.index(name) + 1] for name in pairs} == pairs
    assert not [word for word in command if "=" in word]  # which its parser refuses


def test_the_gateway_is_told_that_it_has_no_api_of_ollama() -> None:
    """Its Service has the paths that it serves, embeddings among them."""
    notes = container()["service"]["metadata"]["annotations"]
    assert notes["aiplat.dev/paths"] == "/v1/chat/completions,/v1/completions,/v1/embeddings"
    assert container()["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
