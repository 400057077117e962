"""What is rendered for charts of others: their values are known by recorded lists of keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import resolve
from aiplat.plan.releases import releases_of
from aiplat.site.models import Site

KEYS = Path(__file__).parent / "upstream"
KINDS: dict[str, type | tuple[type, ...]] = {
    "switch": bool,
    "number": (int, float),
    "text": str,
    "list": list,
    "map": dict,
}
HOST = {"name": "s1", "address": "10.0.0.11", "role": "server"}


def site_with(gpu: Any, card: str) -> Site:
    """Return a site of one host with one card, shared as told."""
    return Site.model_validate(
        {
            "apiVersion": "aiplat.dev/v1alpha1",
            "kind": "Site",
            "name": "ward-3",
            "supply": "upstream",
            "hosts": [{**HOST, "hardware": {"gpus": [card]}, "gpu": gpu}],
            "planes": {"resource": {"gpu-operator": {"state": "on"}}},
        }
    )


def rendered(site: Site) -> dict[str, Any]:
    """Return the values of the GPU operator's release."""
    catalog = load_catalog()
    release = next(r for r in releases_of(site, resolve(site), catalog, {}) if r.name == "gpu-operator")
    return dict(YAML(typ="safe", pure=True).load(release.values))


def keys(name: str) -> dict[str, str]:
    """Return the recorded paths of a chart's values, with the kind of each."""
    recorded = YAML(typ="safe", pure=True).load(KEYS / f"{name}.yaml")
    return {path: kind for kind, paths in recorded.items() for path in paths}


def unknown(values: Any, known: dict[str, str], path: str = "") -> Iterator[str]:
    """Yield the paths of values that the chart does not have, or has as something else."""
    if path in known:
        if not isinstance(values, KINDS[known[path]]):
            yield f"{path} is not a {known[path]}"
    elif isinstance(values, dict):
        for key, value in values.items():
            yield from unknown(value, known, f"{path}.{key}".lstrip("."))
    else:
        yield f"{path} is not in the chart"


SHARINGS: list[tuple[Any, str]] = [
    ("auto", "RTX 4090"),
    ({"sharing": {"timeSlicing": 4}}, "RTX 4090"),
    ({"sharing": {"mps": 2}}, "L40S"),
    ({"sharing": {"mig": "1g.18gb"}}, "H200"),
    ({"sharing": {"mig": {"3g.40gb": 1, "1g.10gb": 4}}}, "H100 80GB"),
]


@pytest.mark.parametrize(("gpu", "card"), SHARINGS)
def test_every_value_of_the_gpu_operator_exists_in_its_chart(gpu: Any, card: str) -> None:
    """A misspelt value is ignored by Helm, and the driver would be installed after all."""
    assert list(unknown(rendered(site_with(gpu, card)), keys("gpu-operator"))) == []


def test_a_value_that_the_chart_does_not_have_is_noticed() -> None:
    """The check above can fail, by the name and by the kind."""
    wrong = {"driver": {"enabled": "no"}, "toolkit": {"enable": False}}
    said = list(unknown(wrong, keys("gpu-operator")))
    assert said == ["driver.enabled is not a switch", "toolkit.enable is not in the chart"]


def test_driver_and_toolkit_are_the_hosts_own() -> None:
    """The operator's driver would ask the network at every start, its toolkit rewrites k3s' containerd."""
    values = rendered(site_with("auto", "RTX 4090"))
    assert (values["driver"]["enabled"], values["toolkit"]["enabled"]) == (False, False)
    assert values["operator"]["runtimeClass"] == "nvidia"


def test_images_of_the_gpu_operator_are_those_of_the_lock() -> None:
    """What its pods run is in the bundle, by the version that was locked."""
    site = site_with("auto", "RTX 4090")
    lock, values = resolve(site), rendered(site)
    for part, image in (("devicePlugin", "nvcr.io/nvidia/k8s-device-plugin"),
                        ("gfd", "nvcr.io/nvidia/k8s-device-plugin"),
                        ("migManager", "nvcr.io/nvidia/cloud-native/k8s-mig-manager"),
                        ("dcgmExporter", "nvcr.io/nvidia/k8s/dcgm-exporter")):  # fmt: skip
        assert values[part]["version"] == lock.artifact("image", image).version
    assert lock.artifact("image", "nvcr.io/nvidia/gpu-operator").version == lock.of("chart")[0].version


def plugin_config(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one configuration of the device plugin."""
    return dict(YAML(typ="safe", pure=True).load(values["devicePlugin"]["config"]["data"][name]))


def test_sharing_comes_out_as_configurations_of_the_device_plugin() -> None:
    """The plugin's own format, by the name that the node's label has."""
    sliced = plugin_config(rendered(site_with({"sharing": {"timeSlicing": 4}}, "RTX 4090")), "time-slicing-4")
    shared = {"name": "nvidia.com/gpu", "replicas": 4}
    assert sliced["sharing"]["timeSlicing"]["resources"] == [shared]
    served = plugin_config(rendered(site_with({"sharing": {"mps": 2}}, "L40S")), "mps-2")
    assert served["sharing"] == {"mps": {"resources": [{"name": "nvidia.com/gpu", "replicas": 2}]}}


def test_mig_comes_out_as_a_layout_of_the_mig_manager() -> None:
    """A profile alone is as many instances as fit; instances by profile are taken as they are."""
    for gpu, card, name, devices in (
        ("1g.18gb", "H200", "1g.18gb-7", {"1g.18gb": 7}),
        ({"3g.40gb": 1, "1g.10gb": 4}, "H100 80GB", "1g.10gb-4_3g.40gb-1", {"3g.40gb": 1, "1g.10gb": 4}),
    ):
        config = rendered(site_with({"sharing": {"mig": gpu}}, card))["migManager"]["config"]
        layouts = YAML(typ="safe", pure=True).load(config["data"]["config.yaml"])["mig-configs"]
        assert layouts[name] == [{"devices": "all", "mig-enabled": True, "mig-devices": devices}]
        assert layouts["all-disabled"] == [{"devices": "all", "mig-enabled": False}]
