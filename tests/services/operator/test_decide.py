"""What a Model gets, and in which words it is refused."""

from __future__ import annotations

import pytest

from aiplat.services.operator.bundle import SiteBundle
from aiplat.services.operator.capacity import machine_of
from aiplat.services.operator.decide import Decision, Engaged, Refusal, decide, decide_all, number_wanted
from aiplat.services.operator.model_spec import model_spec_of, slug_of
from tests.services.operator.worlds import (
    ENGINE,
    OTHER,
    SITE_WEIGHTS,
    Document,
    bundle,
    model,
    node,
    ollama_model,
)


def decided(document: Document, *nodes: Document, site: SiteBundle | None = None) -> Decision:
    """Return the decision on one Model of a site with these nodes, or one of two cores."""
    machines = [machine_of(n) for n in nodes or (node(),)]
    return decide(model_spec_of(document), site or bundle(), machines)


def refusal(document: Document, *nodes: Document, site: SiteBundle | None = None) -> Refusal:
    """Return a refusal that has to come."""
    found = decided(document, *nodes, site=site)
    assert isinstance(found, Refusal)
    return found


def engaged(document: Document, *nodes: Document, site: SiteBundle | None = None) -> Engaged:
    """Return an engagement that has to come."""
    found = decided(document, *nodes, site=site)
    assert isinstance(found, Engaged), found
    return found


def test_a_file_of_the_ollama_operator_says_all_that_it_lacks() -> None:
    """CPU and GPU are both named, with what there is and what to do."""
    said = refusal(ollama_model("phi3"))
    assert said.reason == "DoesNotFit"
    assert said.message.startswith(
        "asks 4 CPU, the largest node has 2; asks 1 nvidia.com/gpu, no node has one; lower its requests"
    )


def test_a_file_of_the_ollama_operator_is_served_where_it_fits() -> None:
    """On a node with a GPU it gets what it asks for, under the name of its image."""
    large = node(allocatable={"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "1"})
    found = engaged(ollama_model("phi3"), node(), large)
    assert (found.model_spec.name, found.served_as, found.weights) == ("phi3", "phi3:mini", SITE_WEIGHTS)
    assert found.resources.limits["nvidia.com/gpu"] == 1


def test_computed_requests_replace_what_was_asked_and_both_are_named() -> None:
    """With `requests: fit` the same file is served on a small node."""
    found = engaged(ollama_model("phi3"), site=bundle(requests="fit"))
    assert found.resources.requests == {"cpu": "200m", "memory": "700Mi"}
    assert found.adjusted == (
        "asked for 4 CPU, 8Gi of memory, 1 nvidia.com/gpu; runs with 0.2 CPU, 700Mi of memory, as computed"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "large:70b",
            "the model 'large:70b' is not in the site's bundle; add it under `models` in site.yaml",
        ),
        ("llama3.1", "the model 'llama3.1' is not in the site's bundle, which holds small:1b, phi3:mini"),
    ],
)
def test_weights_that_are_not_there_are_named_with_what_to_do(name: str, said: str) -> None:
    """One that the catalogue knows can be added; another has to be catalogued first."""
    found = refusal(ollama_model(name))
    assert found.reason == "NotInBundle"
    assert said in found.message


def test_weights_by_digest_must_be_in_the_bundle() -> None:
    """An image that no host has could only come from outside."""
    foreign = "registry.example/x:1@sha256:" + "9" * 64
    spec = {"engine": "ollama", "source": {"image": foreign}}
    assert refusal(model("m", spec)).message.startswith(f"{foreign} is not in the site's bundle; add it")
    spec = {"engine": "ollama", "source": {"image": OTHER, "servedAs": "other"}}
    found = engaged(model("m", spec))
    assert (found.weights, found.served_as, found.model_spec.name) == (OTHER, "other", "m")


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"engine": "vllm", "source": {"catalogue": "small"}}, "OtherEngine", "in the form of ollama"),
        ({"engine": "vllm", "source": {"image": OTHER}}, "EngineNotThere", "planes.model.vllm on"),
        (
            {"source": {"catalogue": "small"}, "resourceProfile": "huge"},
            "UnknownProfile",
            "this site has: half",
        ),
        (
            {"source": {"catalogue": "small"}, "adapters": [{"name": "a", "image": OTHER}]},
            "AdaptersNotHere",
            "is part of a model",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(spec: Document, reason: str, said: str) -> None:
    """Each with a reason for programs and a sentence for people."""
    found = refusal(model("m", spec))
    assert found.reason == reason
    assert said in found.message


def test_what_a_model_leaves_out_is_the_engines() -> None:
    """Resources, parallel requests and context; the context is never longer than the weights can."""
    found = engaged(model("m", {"source": {"catalogue": "small"}}))
    assert (found.engine.image, found.parallel, found.target, found.context_length) == (ENGINE, 2, 2, 4096)
    assert found.resources.requests == {"cpu": "200m", "memory": "700Mi"}
    assert found.features == ("completion",)


def test_a_longer_context_is_computed_to_need_more() -> None:
    """Twice the context over two parallel requests is 8192 tokens more, of ten KiB each."""
    found = engaged(model("m", {"source": {"catalogue": "small"}, "contextLength": 8192}))
    assert found.resources.requests["memory"] == "780Mi"
    said = refusal(model("m", {"source": {"catalogue": "small"}, "contextLength": 65536}))
    assert said.message == "asks 65536 tokens of context, the model has 32768; lower contextLength"


def test_a_profile_stands_for_resources() -> None:
    """Limits without requests are requests, as for Kubernetes."""
    found = engaged(model("m", {"source": {"catalogue": "small"}, "resourceProfile": "half"}))
    assert found.resources.requests == {"cpu": "500m", "memory": "1Gi"}


def test_amounts_that_no_one_node_has_together_are_refused() -> None:
    """The largest of each on two nodes is not one node with both."""
    nodes = node("cores", allocatable={"cpu": "16"}), node("memory", allocatable={"memory": "64Gi"})
    spec = {"source": {"catalogue": "small"}, "resources": {"requests": {"cpu": 8, "memory": "32Gi"}}}
    assert (
        "asks 8 CPU and 32Gi of memory, no one node has them all" in refusal(model("m", spec), *nodes).message
    )


def test_it_is_said_what_a_replica_takes_and_where_one_fits() -> None:
    """Of all nodes, those that could hold one, were they free."""
    found = engaged(
        model("m", {"source": {"catalogue": "small"}}), node(), node("tiny", allocatable={"memory": "64Mi"})
    )
    assert found.fit == "a replica takes 0.2 CPU, 700Mi of memory; 1 of 2 nodes can hold one"


def test_placement_narrows_the_nodes() -> None:
    """Labels and taints are looked at before sizes."""
    spec = {"source": {"catalogue": "small"}, "placement": {"nodeSelector": {"disk": "fast"}}}
    assert "wants a node labelled disk=fast, no node is" in refusal(model("m", spec)).message
    assert engaged(model("m", spec), node(labels={"disk": "fast"}))
    taint = {"key": "only", "value": "batch", "effect": "NoSchedule"}
    plain = {"source": {"catalogue": "small"}}
    assert "a taint that it does not tolerate" in refusal(model("m", plain), node(taints=[taint])).message
    tolerant = {**plain, "placement": {"tolerations": [{"key": "only", "operator": "Exists"}]}}
    assert engaged(model("m", tolerant), node(taints=[taint]))


def test_a_node_that_is_ill_for_a_moment_refuses_nothing() -> None:
    """Kubernetes' own taints come and go."""
    ill = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert engaged(model("m", {"source": {"catalogue": "small"}}), node(taints=[ill]))


def test_the_older_of_two_with_one_name_wins() -> None:
    """The younger one is told which took its name; the site's own come before all."""
    spec = {"source": {"catalogue": "small"}, "name": "assistant"}
    old = model("a", spec, creationTimestamp="2026-01-01T00:00:00Z")
    young = model("b", spec, creationTimestamp="2026-02-01T00:00:00Z")
    site = model(
        "c", spec, creationTimestamp="2026-03-01T00:00:00Z", labels={"aiplat.dev/managed-by": "site"}
    )
    machines = [machine_of(node())]
    found = decide_all([model_spec_of(d) for d in (young, old)], bundle(), machines)
    taken = found["uid-b"]
    assert isinstance(found["uid-a"], Engaged)
    assert isinstance(taken, Refusal)
    assert taken.message.startswith("Model aiplat-model/a (aiplat.dev) already serves 'assistant'")
    assert isinstance(
        decide_all([model_spec_of(d) for d in (site, old)], bundle(), machines)["uid-a"], Refusal
    )


def test_a_name_becomes_a_part_of_kubernetes_names() -> None:
    """Dots and colons cannot be in the name of a Service."""
    assert slug_of("llama3.1") == "llama3-1"
    assert len(slug_of("x" * 80)) == 50


@pytest.mark.parametrize(("spec", "scaled", "number"), [
    ({}, 5, 1),
    ({"minReplicas": 0, "maxReplicas": 2}, 0, 0),
    ({"minReplicas": 0, "maxReplicas": 2}, 9, 2),
    ({"minReplicas": 2, "maxReplicas": 4}, 0, 2),
    ({"minReplicas": 0, "maxReplicas": 2, "replicas": 7}, 1, 7),
])  # fmt: skip
def test_the_number_stays_within_what_the_model_says(spec: Document, scaled: int, number: int) -> None:
    """`replicas` fixes it, also outside of the bounds."""
    found = engaged(model("m", {"source": {"catalogue": "small"}, **spec}))
    assert number_wanted(found, scaled) == number


def asking(gpu: int) -> Document:
    """Return a Model of the small weights that asks for cards."""
    return model(
        "notes", {"source": {"catalogue": "small:1b"}, "resources": {"limits": {"nvidia.com/gpu": gpu}}}
    )


def test_more_gpus_than_any_node_has_are_refused_with_both_numbers() -> None:
    """One card serves a Model for one GPU and says why not to one for two."""
    one = node(allocatable={"nvidia.com/gpu": "1"})
    assert engaged(asking(gpu=1), one).resources.limits == {"nvidia.com/gpu": 1}
    said = refusal(asking(gpu=2), one)
    assert said.message.startswith("asks 2 nvidia.com/gpu, the largest node has 1; lower its requests")


@pytest.mark.parametrize("strategy", ["time-slicing", "mps"])
def test_of_the_shares_of_a_card_a_pod_gets_one(strategy: str) -> None:
    """Two shares are no more than one: the device plugin would refuse the pod."""
    shared = node(
        allocatable={"nvidia.com/gpu": "4"},
        labels={"nvidia.com/gpu.sharing-strategy": strategy, "nvidia.com/gpu.replicas": "4"},
    )
    assert engaged(asking(gpu=1), shared).resources.limits == {"nvidia.com/gpu": 1}
    assert "asks 2 nvidia.com/gpu, which are shares of cards there" in refusal(asking(gpu=2), shared).message
    whole = node(allocatable={"nvidia.com/gpu": "2"}, labels={"nvidia.com/gpu.sharing-strategy": "none"})
    assert engaged(asking(gpu=2), shared, whole).resources.limits == {"nvidia.com/gpu": 2}


def test_mig_profiles_are_matched_by_name() -> None:
    """A larger instance is not a smaller one, and what there is instead is named."""
    parted = node(
        allocatable={"nvidia.com/mig-1g.10gb": "4", "nvidia.com/mig-3g.40gb": "1", "nvidia.com/gpu": "0"}
    )
    wanted = model(
        "notes",
        {"source": {"catalogue": "small:1b"}, "resources": {"requests": {"nvidia.com/mig-1g.10gb": 1}}},
    )
    assert engaged(wanted, parted).resources.limits == {"nvidia.com/mig-1g.10gb": 1}
    wanted["spec"]["resources"] = {"limits": {"nvidia.com/mig-2g.20gb": 1}}
    there = "4 nvidia.com/mig-1g.10gb, 1 nvidia.com/mig-3g.40gb"
    said = f"asks 1 nvidia.com/mig-2g.20gb, no node has one (the largest have {there}); lower its requests"
    assert refusal(wanted, parted).message.startswith(said)


def test_an_adapter_may_not_have_the_name_of_another_model() -> None:
    """Nor of the Model it is an adapter of."""
    adapters = [{"name": "one", "image": OTHER}]
    one = model("one", {"source": {"catalogue": "small"}, "name": "one"})
    two = model("two", {"source": {"catalogue": "small"}, "name": "two", "adapters": adapters})
    own = model("own", {"source": {"catalogue": "small"}, "name": "one", "adapters": adapters})
    for documents, served in (([one, two], "'one'"), ([own], "'one'")):
        found = decide_all([model_spec_of(d) for d in documents], bundle(), [machine_of(node())])
        said = found[model_spec_of(documents[-1]).uid]
        assert isinstance(said, Refusal)
        assert said.reason == "NameTaken"
        assert served in said.message


def test_a_model_for_gpus_needs_an_image_for_them() -> None:
    """A bundle of packages has vLLM for processors alone."""
    document = bundle().model_dump(by_alias=True)["engines"]
    document["ollama"]["gpuImage"] = ""
    wants = model("big", {"source": {"catalogue": "small"}, "resources": {"requests": {"nvidia.com/gpu": 1}}})
    large = node(allocatable={"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "1"})
    said = refusal(wants, large, site=bundle(engines=document))
    assert said.reason == "NoGpuImage"
    assert "no image of ollama for GPUs; leave nvidia.com/gpu out, or" in said.message


def test_a_model_that_no_card_holds_is_refused_with_both_numbers() -> None:
    """By what was computed and what feature discovery says of the cards; where nobody says, it may try."""
    document = bundle().model_dump(by_alias=True)
    run = document["engines"]["ollama"]["run"]
    run["settings"]["utilisation"] = {"default": "0.9", "pattern": ".*"}
    (small, *_) = document["models"]
    small["fit"]["gpu"] = {"memoryMiB": 20480, "bytesPerToken": 1 << 20}
    site = bundle(engines=document["engines"], models=[small])
    wants = model(
        "big",
        {
            "source": {"catalogue": "small"},
            "contextLength": 4096,
            "resources": {"requests": {"nvidia.com/gpu": 1}},
        },
    )

    def on(memory: str, cards: str = "4") -> Document:
        labels = {"nvidia.com/gpu.memory": memory} if memory else {}
        return node(labels=labels, allocatable={"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": cards})

    said = refusal(wants, on("16384"), site=site)
    assert said.message == (
        "needs 24.0 GiB of GPU memory for 4096 tokens of context, 1 of the largest cards offer 14.4 GiB; "
        "lower contextLength, or ask for 2 of them"
    )
    assert engaged(wants, on("81920"), site=site).gpus == 1
    assert engaged(wants, on(""), site=site).gpus == 1
    instance = "nvidia.com/mig-1g.10gb"
    labels = {"nvidia.com/gpu.memory": "81559", f"{instance}.memory": "9984"}
    parted = node(labels=labels, allocatable={"cpu": "8", "memory": "64Gi", instance: "7"})
    wants["spec"]["resources"] = {"requests": {instance: 1}}
    there = f"a {instance} offers 8.8 GiB; lower contextLength, or name a larger profile"
    assert refusal(wants, parted, site=site).message.endswith(there)


def test_a_setting_that_the_engine_does_not_have_is_refused_by_name() -> None:
    """With those it has; a value of another form too."""
    wants = {"source": {"catalogue": "small"}, "settings": {"toolParser": "mistral", "keepAlive": "long"}}
    said = refusal(model("odd", wants))
    assert said.reason == "UnknownSetting"
    assert said.message.startswith("there is no setting toolParser; keepAlive: 'long' does not match")
    assert said.message.endswith("the engine's settings are: keepAlive")
