"""Passes over a whole cluster: what is made, followed, swept, told; and that any crash is made good."""

from __future__ import annotations

import contextlib

import pytest

from aiplat.cluster.raw import NoAnswer
from aiplat.services.operator.bundle import SiteBundle
from aiplat.services.operator.reconcile import Outcome, Reconciler
from aiplat.services.operator.scaling import Load
from tests.services.operator.worlds import Document, MemoryCluster, bundle, model, node, ollama_model

SPACE = "aiplat-model"
NOTHING_SERVED = bundle(models=[m.model_copy(update={"serve": False}) for m in bundle().models])
SMALL: Document = {"source": {"catalogue": "small"}, "name": "notes"}


def run(cluster: MemoryCluster, site: SiteBundle = NOTHING_SERVED, **loads: Load) -> Outcome:
    """Do one pass of a new process."""
    return Reconciler(cluster, SPACE, lambda: site, lambda: loads).run()


def status(cluster: MemoryCluster, name: str, kind: str = "Model.aiplat.dev", space: str = SPACE) -> Document:
    """Return what a Model was told."""
    found: Document = cluster.one(kind, name, space)["status"]
    return found


def conditions(told: Document) -> dict[str, tuple[str, str]]:
    """Return status and reason of every condition."""
    return {c["type"]: (c["status"], c["reason"]) for c in told["conditions"]}


def test_a_model_becomes_service_budget_and_deployment() -> None:
    """First it starts, then it serves, and a further pass writes nothing but the same."""
    cluster = MemoryCluster(model("notes", SMALL), node())
    assert not run(cluster).settled
    assert status(cluster, "notes")["phase"] == "Starting"
    for kind in ("Service", "PodDisruptionBudget", "Deployment"):
        assert cluster.names(kind) == {"model-notes"}
    cluster.serve()
    assert run(cluster).settled
    told = status(cluster, "notes")
    assert (told["phase"], told["ready"], told["message"]) == ("Serving", "1/1", "1 replica serves 'notes'")
    assert conditions(told) == {"Available": ("True", "Serving"), "Accepted": ("True", "Accepted")}
    assert (told["fit"].startswith("a replica takes "), told["contextLength"]) == (True, 4096)
    before = len(cluster.written)
    run(cluster)
    assert not [w for w in cluster.written[before:] if w.endswith("status")]


def test_a_refused_model_runs_nothing_and_says_why() -> None:
    """One that was served before loses its engine, and its time of change is kept from then on."""
    cluster = MemoryCluster(ollama_model("phi3"), node(allocatable={"cpu": "8", "nvidia.com/gpu": "1"}))
    run(cluster)
    assert cluster.names("Deployment") == {"model-phi3"}
    cluster.keep(node())
    run(cluster)
    told = status(cluster, "phi3", "Model.ollama.ayaka.io", "default")
    assert (told["phase"], told["fit"], told["contextLength"]) == ("Refused", "", 0)
    assert told["message"].startswith("asks 4 CPU, the largest node has 2")
    assert conditions(told)["Accepted"] == ("False", "DoesNotFit")
    assert not cluster.names("Deployment")
    assert run(cluster).settled
    assert status(cluster, "phi3", "Model.ollama.ayaka.io", "default") == told


def test_what_has_no_model_any_more_is_swept() -> None:
    """Also where nobody watched while it was deleted; objects of others stay."""
    cluster = MemoryCluster(model("notes", SMALL), node())
    run(cluster)
    labels = {"aiplat.dev/model": "other", "aiplat.dev/managed-by": "site"}
    meta = {"name": "model-other", "namespace": SPACE, "labels": labels}
    cluster.keep({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {}})
    cluster.delete("Model.aiplat.dev", SPACE, "notes")
    run(cluster)
    assert cluster.names("Deployment") == set()
    assert cluster.names("Service") == {"model-other"}


def test_the_sites_models_are_models_like_others() -> None:
    """Each gets a Model that names weights and engine; what people write beside that is kept."""
    cluster = MemoryCluster(node())
    run(cluster, bundle())
    made = cluster.one("Model.aiplat.dev", "small-1b")
    assert made["metadata"]["labels"] == {"aiplat.dev/managed-by": "site"}
    assert made["spec"] == {"source": {"catalogue": "small:1b"}, "engine": "ollama"}
    assert cluster.names("Deployment") == cluster.names("Service") == {"engine-small-1b"}
    made["spec"] |= {"engine": "other", "replicas": 2}
    run(cluster, bundle())
    assert cluster.one("Model.aiplat.dev", "small-1b")["spec"]["engine"] == "ollama"
    assert cluster.one("Deployment", "engine-small-1b")["spec"]["replicas"] == 2


def former_release() -> list[Document]:
    """Return the engine of a model as the site's own Helm release made it once."""
    selector = {"app.kubernetes.io/name": "model-small-1b", "app.kubernetes.io/instance": "ollama"}
    labels = {**selector, "aiplat.dev/model": "small-1b", "aiplat.dev/managed-by": "site"}
    meta = {"name": "model-small-1b", "namespace": SPACE, "labels": labels, "generation": 1}
    spec = {"replicas": 1, "selector": {"matchLabels": selector}, "template": {"spec": {"form": "theirs"}}}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {**meta}, "spec": {"selector": selector}}
    return [deployment, service]


def test_the_engine_of_a_former_release_serves_until_the_operators_does() -> None:
    """The gateway finds the operator's when it has a replica; the release's is nothing of the operator's."""
    former = former_release()
    cluster = MemoryCluster(*former, node())
    for _ in range(2):
        assert not run(cluster, bundle()).settled
        assert status(cluster, "small-1b")["phase"] == "Starting"
        assert cluster.names("Service") == {"model-small-1b"}
    cluster.serve()
    run(cluster, bundle())
    assert cluster.names("Service") == {"model-small-1b", "engine-small-1b"}
    assert status(cluster, "small-1b")["phase"] == "Serving"
    assert not [w for w in cluster.written if "model-small-1b" in w]
    for document in former:
        cluster.delete(document["kind"], SPACE, "model-small-1b")
    assert run(cluster, bundle()).settled
    assert cluster.names("Deployment") == {"engine-small-1b"}


def test_what_the_operator_made_under_a_former_name_serves_until_the_new_does() -> None:
    """Only then it is swept."""
    cluster = MemoryCluster(node())
    run(cluster, bundle())
    uid = cluster.one("Model.aiplat.dev", "small-1b")["metadata"]["uid"]
    for document in former_release():
        document["metadata"]["labels"] |= {"aiplat.dev/managed-by": "operator", "aiplat.dev/model-uid": uid}
        cluster.keep(document)
    run(cluster, bundle())
    assert "model-small-1b" in cluster.names("Deployment")
    cluster.serve()
    run(cluster, bundle())
    assert cluster.names("Deployment") == cluster.names("Service") == {"engine-small-1b"}


def test_models_of_the_site_are_pruned_and_others_are_not() -> None:
    """What the site file no longer names goes with its Model; a person's Model stays."""
    cluster = MemoryCluster(model("notes", SMALL), node())
    run(cluster, bundle())
    assert cluster.names("Model.aiplat.dev") == {"notes", "small-1b"}
    run(cluster, NOTHING_SERVED)
    assert cluster.names("Model.aiplat.dev") == {"notes"}


def test_the_number_follows_the_load() -> None:
    """From nothing to two replicas at once; the condition says by what it goes."""
    spec = {**SMALL, "minReplicas": 0, "maxReplicas": 2}
    cluster = MemoryCluster(model("notes", spec), node())
    run(cluster, notes=Load())
    cluster.serve()
    run(cluster, notes=Load())
    told = status(cluster, "notes")
    assert (told["phase"], told["message"]) == ("Idle", "no replica runs; the first request wakes it")
    assert conditions(told)["Autoscaling"] == ("True", "FollowsLoad")
    outcome = run(cluster, notes=Load(in_flight=0, waiting=9))
    assert outcome.scaled == {"notes"}
    assert cluster.one("Deployment", "model-notes")["spec"]["replicas"] == 2
    run(cluster)
    assert conditions(status(cluster, "notes"))["Autoscaling"] == ("False", "LoadUnknown")
    assert cluster.one("Deployment", "model-notes")["spec"]["replicas"] == 2


def test_a_pod_that_cannot_start_is_told_in_kubernetes_words() -> None:
    """The reason of its container is what people need."""
    cluster = MemoryCluster(model("notes", SMALL), node())
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting"}
    meta = {"name": "p", "namespace": SPACE, "labels": {"aiplat.dev/model": "notes"}}
    state = {"containerStatuses": [{"state": {"waiting": waiting}}]}
    cluster.keep({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": state})
    run(cluster)
    told = status(cluster, "notes")
    assert (told["phase"], told["message"]) == ("Failing", "CrashLoopBackOff: back-off restarting")


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        (
            'no runtime for "nvidia" is configured',
            "its node has no NVIDIA runtime, `aiplat doctor gpu` says why",
        ),
        ("no network", ""),
    ],
)
def test_a_pod_that_its_node_cannot_begin_is_told_in_the_nodes_words(said: str, fix: str) -> None:
    """It has no container that could say it: an event does, until the pod has begun."""
    cluster = MemoryCluster(model("notes", SMALL), node())
    meta = {"name": "p", "namespace": SPACE, "uid": "u1", "labels": {"aiplat.dev/model": "notes"}}
    pod: Document = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": "n1"}}
    cluster.keep({**pod, "status": {"phase": "Pending"}})
    run(cluster)
    assert status(cluster, "notes")["phase"] == "Starting"
    for name, reason, of, message in (
        ("other", "Pulling", "u1", "pulling"),
        ("others", "FailedCreatePodSandBox", "u2", "of another pod"),
        ("own", "FailedCreatePodSandBox", "u1", said),
    ):
        about = {"reason": reason, "message": message, "involvedObject": {"uid": of}}
        cluster.keep(
            {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": SPACE}} | about
        )
    run(cluster)
    told = status(cluster, "notes")
    assert (told["phase"], told["message"]) == ("Failing", f"{said}; {fix}" if fix else said)
    begun = {"type": "PodReadyToStartContainers", "status": "True"}
    cluster.keep({**pod, "status": {"phase": "Pending", "conditions": [begun]}})
    run(cluster)
    assert status(cluster, "notes")["phase"] == "Starting"


def test_a_quota_that_is_used_up_is_told_in_kubernetes_words() -> None:
    """There is no pod that could say it: the Deployment does."""
    cluster = MemoryCluster(model("notes", SMALL), node())
    run(cluster)
    message = 'pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    deployment = cluster.one("Deployment", "model-notes")
    deployment["status"] = {**deployment.get("status", {}), "conditions": [failure]}
    run(cluster)
    told = status(cluster, "notes")
    assert (told["phase"], told["message"]) == ("Failing", message)


ON_GPU: Document = {**SMALL, "resources": {"limits": {"nvidia.com/gpu": 1}}}
RUNTIME: Document = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}}


@pytest.mark.parametrize(("spec", "there", "named"), [
    (ON_GPU, True, "nvidia"), (ON_GPU, False, None), (SMALL, True, None),
])  # fmt: skip
def test_pods_with_gpus_get_the_runtime_that_k3s_has_for_them(
    spec: Document, there: bool, named: str | None
) -> None:
    """Where the cluster has it, and no other pods."""
    gpus = node(allocatable={"nvidia.com/gpu": "1"})
    cluster = MemoryCluster(model("notes", spec), gpus, *([RUNTIME] if there else []))
    run(cluster)
    pod = cluster.one("Deployment", "model-notes")["spec"]["template"]["spec"]
    assert pod.get("runtimeClassName") == named


def test_a_model_on_a_simulated_gpu_says_so() -> None:
    """Nobody takes what an engine for processors does there for what a card does."""
    label = {"aiplat.dev/simulated-gpu": "true"}
    cluster = MemoryCluster(
        model("notes", ON_GPU), node(allocatable={"nvidia.com/gpu": "1"}, labels=label), node("n2")
    )
    meta = {"name": "p", "namespace": SPACE, "labels": {"aiplat.dev/model": "notes"}}
    pod: Document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"nodeName": "n1", "containers": []},
    }
    cluster.keep(pod)
    run(cluster)
    cluster.keep(RUNTIME)
    run(cluster)
    assert conditions(status(cluster, "notes"))["SimulatedGpu"] == ("True", "Simulated")
    # The class is in every cluster of k3s; without NVIDIA's toolkit no pod with it starts.
    template = cluster.one("Deployment", "model-notes")["spec"]["template"]["spec"]
    assert "runtimeClassName" not in template
    cluster.keep({**pod, "spec": {"nodeName": "n2", "containers": []}})
    run(cluster)
    assert "SimulatedGpu" not in conditions(status(cluster, "notes"))


@pytest.mark.parametrize("state", ["state", "lastState"])
def test_an_engine_that_was_killed_for_memory_says_its_limit(state: str) -> None:
    """While it is not ready again; Kubernetes' own words are only that it backs off."""
    cluster = MemoryCluster(model("notes", SMALL), node())
    meta = {"name": "p", "namespace": SPACE, "labels": {"aiplat.dev/model": "notes"}}
    limits = {"name": "engine", "resources": {"limits": {"memory": "2Gi"}}}
    container = {"name": "engine", "ready": False, state: {"terminated": {"reason": "OOMKilled"}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [limits]}}
    cluster.keep({**pod, "status": {"containerStatuses": [container]}})
    run(cluster)
    assert status(cluster, "notes")["message"].startswith("killed for memory, limit 2Gi; raise its memory")
    cluster.keep({**pod, "status": {"containerStatuses": [{**container, "ready": True}]}})
    run(cluster)
    assert "killed" not in status(cluster, "notes")["message"]


@pytest.mark.parametrize("writes", range(12))
def test_killed_after_any_write_its_successor_makes_everything_good(writes: int) -> None:
    """Two Models come, one goes, one is refused; wherever the first process ends, the end is the same."""

    def world() -> MemoryCluster:
        cluster = MemoryCluster(model("old", {**SMALL, "name": "old"}), node())
        run(cluster)
        cluster.delete("Model.aiplat.dev", SPACE, "old")
        cluster.keep(model("notes", SMALL))
        cluster.keep(model("more", {**SMALL, "name": "more", "replicas": 2}))
        cluster.keep(ollama_model("phi3"))
        return cluster

    undisturbed, killed = world(), world()
    killed.writes_left = writes
    with contextlib.suppress(NoAnswer):
        run(killed)
    killed.writes_left = None
    for cluster in (undisturbed, killed):
        run(cluster)
        cluster.serve()
        run(cluster)
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        assert killed.names(kind) == undisturbed.names(kind) == {"model-notes", "model-more"}
    phases = {name: status(killed, name)["phase"] for name in ("notes", "more")}
    assert phases == {"notes": "Serving", "more": "Serving"}


def test_a_write_that_one_model_is_refused_does_not_hold_up_the_others() -> None:
    """Every Model is tried in every pass."""
    cluster = MemoryCluster(model("a", {**SMALL, "name": "a"}), model("b", {**SMALL, "name": "b"}), node())
    cluster.writes_left = 0
    assert not run(cluster).settled
    cluster.writes_left = None
    run(cluster)
    assert cluster.names("Deployment") == {"model-a", "model-b"}
