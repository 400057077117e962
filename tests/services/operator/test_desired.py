"""The objects that serve a Model: found by the gateway, restricted, replaced without a gap."""

from __future__ import annotations

import subprocess

import pytest
from kubernetes_validate.utils import validate

from aiplat.services.operator.capacity import machine_of
from aiplat.services.operator.decide import Engaged, decide
from aiplat.services.operator.desired import desired
from aiplat.services.operator.engines import drain
from aiplat.services.operator.model_spec import model_spec_of
from tests.charts.test_charts import kubernetes_minor
from tests.patience import PATIENCE
from tests.services.operator.worlds import ENGINE, OTHER, WEIGHTS, Document, bundle, model, node, run_of


def objects(spec: Document, name: str = "notes") -> dict[str, Document]:
    """Return the objects of a Model by kind."""
    engines = {**bundle().model_dump(by_alias=True)["engines"]}
    engines["vllm"] = {**engines["ollama"], "run": run_of("vllm"), "parallel": 8}
    site = bundle(engines=engines)
    found = decide(model_spec_of(model(name, spec)), site, [machine_of(node())])
    assert isinstance(found, Engaged), found
    return {d["kind"]: d for d in desired(found, "aiplat-model", 1)}


OLLAMA: Document = {"source": {"catalogue": "small"}, "name": "notes", "holdSeconds": 90}
VLLM: Document = {
    "engine": "vllm",
    "source": {"image": OTHER},
    "adapters": [{"name": "tuned", "image": WEIGHTS}],
    "placement": {"nodeSelector": {}, "tolerations": [{"operator": "Exists"}]},
}


@pytest.mark.parametrize("spec", [OLLAMA, VLLM], ids=["ollama", "vllm"])
def test_objects_are_valid_for_the_pinned_kubernetes(spec: Document) -> None:
    """By the published schema, unknown fields refused."""
    for document in objects(spec).values():
        validate(document, kubernetes_minor(), strict=True)


@pytest.mark.parametrize("spec", [OLLAMA, VLLM], ids=["ollama", "vllm"])
def test_engines_are_restricted(spec: Document) -> None:
    """Pod Security `restricted`, a root nobody can write, no account, images by digest."""
    pod = objects(spec)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    images = [container["image"], *(v["image"]["reference"] for v in pod["volumes"] if "image" in v)]
    assert all("@sha256:" in image for image in images)


@pytest.mark.parametrize(("spec", "own"), [(OLLAMA, []), (VLLM, [{"operator": "Exists"}])])
def test_an_engine_leaves_a_lost_node_soon(spec: Document, own: list[Document]) -> None:
    """As the charts' pods do, beside what a Model tolerates itself."""
    tolerations = objects(spec)["Deployment"]["spec"]["template"]["spec"]["tolerations"]
    assert {t["tolerationSeconds"] for t in tolerations[:2]} == {30}
    assert tolerations[2:] == own


def test_the_gateway_finds_a_model_by_labels_and_annotations() -> None:
    """The name that clients use, the name in the engine's store, how long to hold requests."""
    service = objects(OLLAMA)["Service"]
    assert service["metadata"]["labels"]["aiplat.dev/model"] == "notes"
    assert service["metadata"]["labels"]["aiplat.dev/engine"] == "ollama"
    notes = {k.removeprefix("aiplat.dev/"): v for k, v in service["metadata"]["annotations"].items()}
    assert (notes["model-name"], notes["served-as"], notes["hold-seconds"]) == ("notes", "small:1b", "90")
    assert "num_predict" in notes["options"].split(",")
    assert "num_ctx" not in notes["options"]
    pod = objects(OLLAMA)["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= pod.items()


def test_a_replica_goes_only_when_another_one_is_ready() -> None:
    """And it is given the time to finish its answers."""
    spec = objects(OLLAMA)["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 600
    assert "preStop" in pod["containers"][0]["lifecycle"]


def test_weights_are_a_volume_and_the_engine_knows_no_way_out() -> None:
    """No pull at the start, no cloud."""
    pod = objects(OLLAMA)["Deployment"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["image"] == {"reference": WEIGHTS, "pullPolicy": "IfNotPresent"}
    env = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    assert (env["OLLAMA_NOPRUNE"], env["OLLAMA_NO_CLOUD"], env["OLLAMA_NUM_PARALLEL"]) == ("1", "1", "2")
    assert pod["containers"][0]["image"] == ENGINE


def test_vllm_serves_adapters_under_their_own_names() -> None:
    """Each adapter is an image volume of its own."""
    pod = objects(VLLM)["Deployment"]["spec"]["template"]["spec"]
    command = pod["containers"][0]["command"]
    assert command[3:5] == ["serve", "/model"]
    assert "tuned=/adapters/0" in command
    assert not [word for word in command if "{" in word]
    assert {v["name"]: v.get("image", {}).get("reference") for v in pod["volumes"]}["adapter-0"] == WEIGHTS


def test_waiting_for_the_last_answer_ends_when_nobody_is_connected() -> None:
    """The very script, on a port that nobody uses, ends by itself within seconds."""
    command = drain(9)["preStop"]["exec"]["command"]
    assert subprocess.run(command, timeout=PATIENCE, check=False).returncode == 0


def command(**more: object) -> list[str]:
    """Return the command of an engine of vLLM for a Model."""
    pod = objects({**VLLM, **more})["Deployment"]["spec"]["template"]["spec"]
    return list(pod["containers"][0]["command"])


def test_the_processes_of_vllm_share_more_than_a_container_has() -> None:
    """Without GPUs too: it does not start in the 64 MiB of /dev/shm that a container has."""
    pod = objects(VLLM)["Deployment"]["spec"]["template"]["spec"]
    assert {"name": "shared", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]
    assert {"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}} in pod["volumes"]


def test_what_a_model_is_for_decides_how_vllm_is_started() -> None:
    """Calls of tools need a parser, vectors another runner; a plain chat neither."""
    tools, vectors, plain = (command(features=f) for f in (["chat", "tools"], ["embedding"], ["chat"]))
    assert "--tool-call-parser=hermes" in tools
    assert "--runner=pooling" in vectors
    assert not [word for word in plain if word.startswith(("--runner", "--enable-auto-tool"))]


def test_the_gateway_is_told_of_adapters() -> None:
    """By name, in the Service's annotations."""
    assert objects(VLLM)["Service"]["metadata"]["annotations"]["aiplat.dev/adapters"] == "tuned"


def gpu_objects(cards: dict[str, int], gpus: int = 1) -> dict[str, Document]:
    """Return the objects of a Model of vLLM on GPUs, by kind, on nodes with so many each."""
    engines = {**bundle().model_dump(by_alias=True)["engines"]}
    engines["vllm"] = {
        **engines["ollama"],
        "run": run_of("vllm"),
        "gpuImage": ENGINE.replace("ollama", "cuda"),
    }
    nodes = [
        node(
            name=name,
            labels={"nvidia.com/gpu.product": "NVIDIA-L4"},
            allocatable={"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": str(count)},
        )
        for name, count in cards.items()
    ]
    asked = {"requests": {"nvidia.com/gpu": gpus}}
    document = model("notes", {"engine": "vllm", "source": {"image": OTHER}, "resources": asked})
    found = decide(model_spec_of(document), bundle(engines=engines), [machine_of(n) for n in nodes])
    assert isinstance(found, Engaged), found
    return {d["kind"]: d for d in desired(found, "aiplat-model", 1)}


def test_on_gpus_another_image_runs_with_what_they_need() -> None:
    """As many ranks as cards, memory that their processes share, and no settings of processors."""
    pod = gpu_objects({"one": 2}, gpus=2)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == ENGINE.replace("ollama", "cuda")
    assert "--tensor-parallel-size=2" in container["command"]
    assert "--enforce-eager" not in container["command"]
    assert "VLLM_CPU_KVCACHE_SPACE" not in {variable["name"] for variable in container["env"]}
    assert {"name": "shared", "mountPath": "/dev/shm"} in container["volumeMounts"]


def test_what_is_compiled_outlives_a_pod_where_one_node_can_run_it() -> None:
    """A claim keyed by engine, weights and card; on several nodes it would hold the Model on one of them."""
    alone = gpu_objects({"one": 1, "none": 0})
    claim = alone["PersistentVolumeClaim"]["metadata"]["name"]
    assert claim.startswith("compiled-vllm-nvidia-l4-")
    volumes = {v["name"]: v for v in alone["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["compiled"] == {"name": "compiled", "persistentVolumeClaim": {"claimName": claim}}
    several = gpu_objects({"one": 1, "two": 1})
    assert "PersistentVolumeClaim" not in several
    volumes = {v["name"]: v for v in several["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert "emptyDir" in volumes["compiled"]


def test_objects_on_gpus_are_valid_for_the_pinned_kubernetes() -> None:
    """By the published schema, unknown fields refused."""
    for document in gpu_objects({"one": 2}, gpus=2).values():
        validate(document, kubernetes_minor(), strict=True)


def test_a_model_sets_what_its_engine_lets_it_set() -> None:
    """How it writes calls of tools differs from model to model."""
    assert "--tool-call-parser=mistral" in command(features=["tools"], settings={"toolParser": "mistral"})
