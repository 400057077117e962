"""GPUs are offered as the site says, and engines that have one have their whole model on it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiplat.catalog.catalog import load_catalog
from aiplat.site.models import Site
from aiplat.verify.check import Failed, Skipped
from aiplat.verify.context import CheckContext
from aiplat.verify.declared import ModelOnGpu
from aiplat.verify.gpus import gpus_offered, model_on_gpu
from tests.cluster import kube as given
from tests.verify.loopback import Loopback

OLLAMA = next(c for c in load_catalog().engines if c.name == "ollama")
OPERATOR = next(c for c in load_catalog().components if c.name == "gpu-operator")
BY_ANSWER = ModelOnGpu(path="/api/ps")
BY_LOG = ModelOnGpu(log=r"offloaded (?P<part>\d+)/(?P<whole>\d+) layers to GPU")


def with_gpus(site: Site, gpu: Any = "auto") -> Site:
    """Return the site with a card in its host."""
    document = site.model_dump(mode="json", by_alias=True)
    document["hosts"][0] |= {"hardware": {"gpus": ["RTX 4090"]}, "gpu": gpu}
    return Site.model_validate(document)


def offer(site: Loopback, amounts: dict[str, str], **labels: str) -> None:
    """Let the node offer GPUs."""
    (node,) = site.kube.lists["nodes"]
    node["status"]["allocatable"] = amounts
    node["metadata"]["labels"] = labels


def give_gpu(site: Loopback, node: str = "s1") -> None:
    """Let the engine's pod have a card."""
    pod = next(p for p in site.kube.lists["pods"] if "aiplat.dev/engine" in p["metadata"]["labels"])
    pod["spec"]["nodeName"] = node
    pod["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}


def test_a_node_that_offers_what_the_site_says_is_well(healthy: Loopback) -> None:
    """Four shares of one card; resources that it has none of do not count."""
    offer(healthy, {"nvidia.com/gpu": "4", "nvidia.com/mig-1g.10gb": "0", "cpu": "8"})
    site = with_gpus(healthy.site, {"sharing": {"timeSlicing": 4}})
    assert gpus_offered(OPERATOR, CheckContext(site)) == "s1: 4 nvidia.com/gpu"


def test_a_node_that_offers_something_else_is_named(healthy: Loopback) -> None:
    """With what it offers and what was expected."""
    offer(healthy, {"nvidia.com/gpu": "1"})
    site = with_gpus(healthy.site, {"sharing": {"timeSlicing": 4}})
    with pytest.raises(Failed, match=r"s1 offers 1 nvidia\.com/gpu, expected 4 nvidia\.com/gpu"):
        gpus_offered(OPERATOR, CheckContext(site))


def test_a_device_plugin_that_is_still_starting_is_not_a_failure(healthy: Loopback) -> None:
    """It comes minutes after its release; a node that offers nothing when all pods run is one."""
    site = with_gpus(healthy.site)
    plugin = given.pod("nvidia-device-plugin-x", "aiplat-gpu", {}, "image")
    healthy.kube.lists["pods"].append(plugin)
    with pytest.raises(Failed, match="s1 offers no GPU"):
        gpus_offered(OPERATOR, CheckContext(site))
    plugin["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    with pytest.raises(Skipped, match="nvidia-device-plugin-x is still starting"):
        gpus_offered(OPERATOR, CheckContext(site))


def test_simulated_gpus_are_called_so(healthy: Loopback) -> None:
    """Nobody takes them for cards."""
    offer(healthy, {"nvidia.com/gpu": "1"}, **{"aiplat.dev/simulated-gpu": "true"})
    assert gpus_offered(OPERATOR, CheckContext(with_gpus(healthy.site))) == "s1: 1 nvidia.com/gpu (simulated)"


@pytest.mark.parametrize(("part", "well"), [(900, True), (500, False)])
def test_ollama_tells_how_much_of_its_models_is_on_the_gpu(healthy: Loopback, part: int, well: bool) -> None:
    """All of it or not all of it: the rest would be computed by the processor."""
    give_gpu(healthy)
    body = json.dumps({"models": [{"size": 900, "size_vram": part}]})
    healthy.kube.executed = lambda _pod, _command: (f"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{body}", 0)
    context = CheckContext(healthy.site)
    if well:
        assert model_on_gpu(OLLAMA, BY_ANSWER, context) == "1 pods, all of each"
    else:
        with pytest.raises(Failed, match="500 of 900 are on the GPU"):
            model_on_gpu(OLLAMA, BY_ANSWER, context)


def test_an_engine_that_says_nothing_of_its_gpu_fails(healthy: Loopback) -> None:
    """An answer that is not one is not a good one."""
    give_gpu(healthy)
    healthy.kube.executed = lambda _pod, _command: ("bash: connect: Connection refused", 1)
    with pytest.raises(Failed, match="does not say what is on its GPU"):
        model_on_gpu(OLLAMA, BY_ANSWER, CheckContext(healthy.site))


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("load_tensors: offloaded 29/29 layers to GPU\n", ""),
        ("load_tensors: offloaded 12/29 layers to GPU\n", "12 of 29 are on the GPU"),
        ("no usable GPU found\n", "did not write what is on its GPU"),
    ],
)
def test_llama_cpp_writes_how_many_layers_are_on_the_gpu(healthy: Loopback, log: str, said: str) -> None:
    """The last line of its kind counts."""
    give_gpu(healthy)
    healthy.kube.written = log
    context = CheckContext(healthy.site)
    if not said:
        assert model_on_gpu(OLLAMA, BY_LOG, context) == "1 pods, all of each"
    else:
        with pytest.raises(Failed, match=said):
            model_on_gpu(OLLAMA, BY_LOG, context)


def test_on_a_simulated_gpu_nothing_is_asked(healthy: Loopback) -> None:
    """An engine for processors stands in there."""
    healthy.kube.lists["nodes"] = [given.node("s1")]
    offer(healthy, {"nvidia.com/gpu": "1"}, **{"aiplat.dev/simulated-gpu": "true"})
    give_gpu(healthy)
    with pytest.raises(Skipped, match="simulated"):
        model_on_gpu(OLLAMA, BY_ANSWER, CheckContext(healthy.site))
