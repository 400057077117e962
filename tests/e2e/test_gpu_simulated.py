"""Scheduling, shares, MIG instances and quotas of GPUs, on a real kubelet whose device plugin makes cards up.

Nothing computes on a GPU here: an engine for processors stands in, and node, Models and checks say so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiplat.site.load import load_site
from tests.e2e import simulated
from tests.e2e.journey import Journey
from tests.patience import PATIENCE, until

pytestmark = [pytest.mark.lab, pytest.mark.journey]
HOST = "t-gpusim-s1"
GPU = "nvidia.com/gpu"
QUESTION = {"role": "user", "content": "Name the capital of Italy."}


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey], tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """One host with a made-up H100, and its site file, which the tests change."""
    lab = make_journey("gpu-simulated")
    folder = tmp_path_factory.mktemp("gpu")
    program = simulated.build(folder)
    site_file = folder / "site.yaml"
    site_file.write_text(lab.site_file.read_text())
    journey = replace(lab, site_file=site_file)
    journey.bootstrap()
    simulated.start(journey, load_site(site_file), program)
    wait(journey, f"node/{HOST}", offers(GPU), "1")
    return journey


def offers(resource: str) -> str:
    """Return the path of what a node offers of a resource."""
    return "{.status.allocatable." + resource.replace(".", r"\.") + "}"


def wait(ward: Journey, what: str, path: str, value: str) -> None:
    """Wait until a field of an object has a value."""
    state = f"--for=jsonpath='{path}'={value!r}"
    ward.on_host(f"k3s kubectl -n aiplat-model wait {what} {state} --timeout={PATIENCE - 10}s")


def deploy(ward: Journey, name: str, resource: str, number: int = 1) -> None:
    """Declare a Model that asks for GPUs, as people do."""
    spec = {
        "source": {"catalogue": "smollm2:135m"},
        "name": name,
        "resources": {"limits": {resource: number}},
    }
    meta = {"name": name, "namespace": "aiplat-model"}
    document = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Model", "metadata": meta, "spec": spec}
    ward.on_host(f"k3s kubectl apply -f - <<'END'\n{json.dumps(document)}\nEND")


def status(ward: Journey, name: str) -> dict[str, Any]:
    """Return how a Model stands."""
    return dict(
        json.loads(ward.on_host(f"k3s kubectl -n aiplat-model get models.aiplat.dev {name} -o json"))[
            "status"
        ]
    )


def phase(ward: Journey, name: str, wanted: str) -> dict[str, Any]:
    """Wait until a Model stands as wanted, and return how."""
    wait(ward, f"models.aiplat.dev/{name}", "{.status.phase}", wanted)
    return status(ward, name)


def forget_models(ward: Journey) -> None:
    """Take every Model away, and wait until nothing of them runs."""
    ward.on_host("k3s kubectl -n aiplat-model delete models.aiplat.dev --all")
    pods = "k3s kubectl -n aiplat-model get pods -l aiplat.dev/model -o name"
    until(lambda: not ward.on_host(pods).strip(), pause=1)


def share(ward: Journey, sharing: str) -> list[dict[str, Any]]:
    """Change how the card is shared and bootstrap; returns the steps that the plan announced."""
    text = (Path(__file__).parent / "sites" / "gpu-simulated.yaml").read_text()
    ward.site_file.write_text(text.replace("sharing: {}", f"sharing: {sharing}"))
    simulated.configure(ward, load_site(ward.site_file))
    steps = ward.document("plan", expect=0)["steps"]
    if steps:
        ward.bootstrap()
        assert ward.document("plan")["steps"] == []
    return list(steps)


def test_a_model_for_one_gpu_serves_and_one_for_two_says_why_not(ward: Journey) -> None:
    """Labelled as simulated wherever one looks: at the node, the Model, its container and the checks."""
    share(ward, "{}")
    forget_models(ward)
    deploy(ward, "one", GPU)
    deploy(ward, "two", GPU, 2)
    told = phase(ward, "one", "Serving")
    assert {c["type"]: c["status"] for c in told["conditions"]}["SimulatedGpu"] == "True"
    refused = phase(ward, "two", "Refused")["message"]
    assert refused.startswith("asks 2 nvidia.com/gpu, the largest node has 1")
    with ward.platform() as client:
        answer = client.post(
            "chat/completions", json={"model": "one", "messages": [QUESTION], "max_tokens": 8}
        )
    assert answer.status_code == 200, answer.text
    pod = "k3s kubectl -n aiplat-model exec deploy/model-one -- printenv AIPLAT_SIMULATED_GPU"
    assert ward.on_host(pod).strip() == "GPU-simulated-0"
    labels = json.loads(ward.on_host(f"k3s kubectl get node {HOST} -o json"))["metadata"]["labels"]
    assert labels["aiplat.dev/simulated-gpu"] == "true"
    checks = ward.document("verify")["results"]
    said = {c["sentence"]: (c["result"], c["detail"]) for c in checks}
    assert said["Every model of Ollama that has a GPU is on it whole."][0] == "SKIP"


def test_a_second_model_waits_for_the_only_card_in_kubernetes_words(ward: Journey) -> None:
    """It fits a node, but not while another one has the card."""
    share(ward, "{}")
    forget_models(ward)
    deploy(ward, "first", GPU)
    phase(ward, "first", "Serving")
    deploy(ward, "second", GPU)
    assert "Insufficient nvidia.com/gpu" in phase(ward, "second", "Failing")["message"]


def test_four_models_share_a_card_in_turns(ward: Journey) -> None:
    """The change is a step of its own, announced with what it gives and takes; a fifth Model waits."""
    share(ward, "{}")
    forget_models(ward)
    (step,) = share(ward, "{timeSlicing: 4}")
    before, after = (
        "1 nvidia.com/gpu, each a whole card",
        "4 nvidia.com/gpu, no memory isolation, each sees 79.2 GiB",
    )
    assert (step["id"], step["reason"]) == ("gpu_sharing", {HOST: f"GPUs of {HOST}: {before} → {after}"})
    for number in range(4):
        deploy(ward, f"turn-{number}", GPU)
    for number in range(4):
        phase(ward, f"turn-{number}", "Serving")
    deploy(ward, "greedy", GPU, 2)
    assert "which are shares of cards there" in phase(ward, "greedy", "Refused")["message"]


def test_mig_profiles_are_matched_by_name_and_quotas_hold(ward: Journey) -> None:
    """Who used the card, or a share of it, has to leave; instances are found by their exact name."""
    forget_models(ward)
    deploy(ward, "whole", GPU)
    phase(ward, "whole", "Serving")
    (step,) = share(ward, "{mig: {3g.40gb: 1, 1g.10gb: 4}}")
    after = "→ 1 nvidia.com/mig-3g.40gb, 4 nvidia.com/mig-1g.10gb, memory and faults apart; no nvidia.com/gpu"
    assert after in step["reason"][HOST]
    assert "asks 1 nvidia.com/gpu, no node has one" in phase(ward, "whole", "Refused")["message"]
    deploy(ward, "small", "nvidia.com/mig-1g.10gb")
    phase(ward, "small", "Serving")
    deploy(ward, "other", "nvidia.com/mig-2g.20gb")
    assert "no node has one (the largest have" in phase(ward, "other", "Refused")["message"]
    quota = "--hard=requests.nvidia.com/mig-1g.10gb=1"
    ward.on_host(f"k3s kubectl -n aiplat-model create quota gpus {quota}")
    # Until it is counted for the first time, everything is refused in other words.
    wait(ward, "quota/gpus", r"{.status.used.requests\.nvidia\.com/mig-1g\.10gb}", "1")
    try:
        deploy(ward, "beyond", "nvidia.com/mig-1g.10gb")
        assert "exceeded quota: gpus" in phase(ward, "beyond", "Failing")["message"]
    finally:
        ward.on_host("k3s kubectl -n aiplat-model delete quota gpus")
