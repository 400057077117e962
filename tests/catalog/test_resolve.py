"""From a site to its lock: what is on, what it needs, and when something is made again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from aiplat.catalog.artifacts import Lock
from aiplat.catalog.catalog import Catalog, load_catalog, read_catalog
from aiplat.catalog.resolve import components_on, resolve, site_models, undeliverable
from aiplat.errors import BadInput
from aiplat.shipped import shipped
from aiplat.site.models import Site


def _site(**more: Any) -> Site:
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3"}
    host = {"name": "s1", "address": "10.0.0.11", "role": "server"}
    return Site.model_validate({**head, "hosts": [host], **more})


GEMMA = [{"name": "gemma3:270m", "engine": "ollama"}]


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    """A copy of the shipped charts that a test may change."""
    return Path(shutil.copytree(shipped("charts"), tmp_path / "charts"))


def _inputs(lock: Lock) -> dict[str, str]:
    return {f"{a.kind} {a.name}": a.inputs for a in lock.artifacts}


def _changed(charts: Path, change: Path, text: str) -> set[str]:
    """Return which artifacts of a plain site have other inputs once `text` is added to a file."""
    site = _site(models=GEMMA)
    before = _inputs(resolve(site, read_catalog(charts)))
    with change.open("a") as stream:
        stream.write(text)
    after = _inputs(resolve(site, read_catalog(charts)))
    return {name for name in after if before.get(name) != after[name]}


def test_a_plain_site_gets_the_defaults() -> None:
    """Everything that is on by default has its artifacts in the lock, and models only where asked for."""
    lock = resolve(_site())
    on = {c.name for c in load_catalog().components if c.default == "on" and c.artifacts}
    assert {a.component for a in lock.artifacts} == on
    assert lock.of("model") == ()
    assert not lock.complete
    assert lock.supply == "packages"


def test_a_model_comes_once_whatever_it_is_called() -> None:
    """Name and alias are one artifact, the last of the lock."""
    both = [*GEMMA, {"name": "gemma3:270m-base-q4_k_m"}]
    lock = resolve(_site(models=both))
    assert [a.ref for a in lock.of("model")] == ["registry.ollama.ai/library/gemma3:270m-base-q4_k_m"]
    assert lock.artifacts[-1].kind == "model"
    assert [m.name for _, m in site_models(_site(models=both))] == ["gemma3:270m-base-q4_k_m"]


def test_what_only_lab_hosts_may_get_is_marked() -> None:
    """The stand-in for k3s and packages of the lab's Debian never go to a real host."""
    lock = resolve(_site())
    marked = {a.name for a in lock.artifacts if a.lab_only}
    assert {"k3s", "nftables"} <= marked
    assert not {"helm", "registry", "docker.io/ollama/ollama"} & marked
    assert all(a.kind == "hostfile" for a in lock.artifacts if a.lab_only)


def test_resolving_twice_gives_the_same() -> None:
    """A lock depends on its inputs alone."""
    assert resolve(_site(models=GEMMA)) == resolve(_site(models=GEMMA))


def test_the_lock_does_not_depend_on_hosts_or_networks() -> None:
    """Another address is not a reason to build anything."""
    other = _site(models=GEMMA, cluster={"podCIDR": "10.50.0.0/16"})
    assert resolve(other) == resolve(_site(models=GEMMA))


def test_a_changed_containerfile_makes_its_image_anew_and_what_builds_on_it(charts: Path) -> None:
    """The engine's image changes, the model that it imports too, nothing else."""
    changed = _changed(charts, charts / "model/ollama/Containerfile", "# a change\n")
    assert changed == {"image docker.io/ollama/ollama", "model registry.ollama.ai/library/gemma3"}


def test_a_changed_chart_makes_only_that_chart_anew(charts: Path) -> None:
    """Values of one chart touch no image."""
    changed = _changed(charts, charts / "platform/policies/chart/values.yaml", "# a change\n")
    assert changed == {"chart ghcr.io/aiplat/charts/policies"}


def test_a_changed_readme_makes_nothing_anew(charts: Path) -> None:
    """What no recipe names is not an input."""
    assert _changed(charts, charts / "model/ollama/README.md", "more\n") == set()


def test_a_changed_description_makes_nothing_anew(charts: Path) -> None:
    """The purpose of a component is not what it is made of."""
    assert _changed(charts, charts / "platform/helm/component.yaml", "# a remark\n") == set()


def test_what_is_switched_off_is_left_out() -> None:
    """A component that nothing needs may be off."""
    site = _site(planes={"data": {"postgresql": {"state": "off"}}})
    assert "postgresql" not in {c.name for c in components_on(site)}
    assert "postgresql" not in {a.component for a in resolve(site).artifacts}


def test_what_others_need_cannot_be_off() -> None:
    """Turning off what is required is refused, with the names of those that require it."""
    site = _site(planes={"resource": {"k3s": {"state": "off"}}})
    with pytest.raises(
        BadInput, match=r"planes\.resource\.k3s: k3s is off, but .*ollama.* needs it; turn k3s on"
    ):
        resolve(site)


def test_only_what_stays_on_is_told_to_need_what_is_off() -> None:
    """Where gateway and operator are off, the engine that needs the operator is named."""
    off = {"state": "off"}
    site = _site(planes={"access": {"gateway": off}, "model": {"operator": off}})
    with pytest.raises(BadInput) as refused:
        resolve(site)
    (finding,) = refused.value.findings
    assert str(finding.problem).startswith("operator is off, but ")
    assert "ollama" in finding.problem


def test_a_model_needs_its_engine() -> None:
    """A model whose engine is off is refused."""
    site = _site(models=GEMMA, planes={"model": {"ollama": {"state": "off"}}})
    with pytest.raises(BadInput, match=r"models\[0\]: gemma3:270m needs ollama, which is off"):
        resolve(site)


def test_what_is_still_to_come_is_refused_by_name() -> None:
    """A known component that this version cannot deliver is never dropped silently."""
    site = _site(planes={"data": {"weaviate": {"state": "on"}}})
    with pytest.raises(BadInput) as caught:
        resolve(site)
    said = (
        "planes.data.weaviate: weaviate is known, but not in this version; leave it out or write `state: off`"
    )
    assert str(caught.value) == said
    assert undeliverable(_site(planes={"data": {"weaviate": {"state": "off"}}})) == []


def test_a_reference_to_a_secret_can_be_delivered() -> None:
    """Whether the secret was given is asked when hosts are planned for, not here."""
    values = {"auth": [{"password": {"fromSecret": "postgresql-admin"}}]}
    assert undeliverable(_site(planes={"data": {"postgresql": {"values": values}}})) == []


def _component(charts: Path, name: str, default: str, requires: str = "") -> None:
    folder = charts / "data" / name
    folder.mkdir(parents=True)
    (folder / "component.yaml").write_text(
        f"apiVersion: aiplat.dev/v1alpha1\nkind: Component\nname: {name}\nplane: data\npurpose: A test.\n"
        f"licence: {{spdx: MIT}}\ndefault: {default}\nrequires: {{components: [{requires}]}}\n"
    )


@pytest.fixture
def small(tmp_path: Path) -> Catalog:
    """A catalogue of a, which is on, b on request, and c on request, which b requires."""
    _component(tmp_path, "a", "on")
    _component(tmp_path, "b", "request", "c")
    _component(tmp_path, "c", "request")
    return read_catalog(tmp_path)


def test_asking_for_a_component_brings_what_it_requires(small: Catalog) -> None:
    """Asking for b brings c, which it requires; without asking neither is on."""
    asked = _site(planes={"data": {"b": {}}})
    assert [c.name for c in components_on(asked, small)] == ["a", "b", "c"]
    assert [c.name for c in components_on(_site(), small)] == ["a"]


def test_a_site_of_two_architectures_has_host_files_for_both() -> None:
    """Agents' files are there for each architecture, those of servers only for theirs; other kinds once."""
    hosts = [
        {"name": "s1", "address": "10.0.0.11", "role": "server"},
        {"name": "a1", "address": "10.0.0.12", "role": "agent", "arch": "arm64"},
    ]
    lock = resolve(_site(hosts=hosts, supply="upstream"))
    platforms = {name: [a.platform for a in lock.artifacts if a.name == name] for name in ("k3s", "helm")}
    assert platforms == {"k3s": ["linux/amd64", "linux/arm64"], "helm": ["linux/amd64"]}
    assert lock.hostfile("k3s", "arm64").inputs != lock.hostfile("k3s", "amd64").inputs
    assert {a.platform for a in lock.artifacts if a.kind != "hostfile"} == {"linux/amd64"}


def test_the_supply_that_builds_knows_one_architecture() -> None:
    """A host of another one is refused before anything is built, with the word to write."""
    host = {"name": "s1", "address": "10.0.0.11", "role": "server", "arch": "arm64"}
    assert [str(f) for f in undeliverable(_site(hosts=[host], supply="packages"))] == [
        "hosts[0].arch: the supply `packages` builds for amd64 alone, and s1 is arm64; "
        "write `supply: upstream`"
    ]


def test_what_k3s_packages_comes_with_its_images_on_request() -> None:
    """Of the release's own list, by the supply that has them; the one that builds says that it does not."""
    wanted = {"resource": {"traefik": {"state": "on"}}}
    images = {a.name for a in resolve(_site(supply="upstream", planes=wanted)).of("image")}
    assert {"docker.io/rancher/mirrored-library-traefik", "docker.io/rancher/klipper-helm"} <= images
    assert "docker.io/rancher/klipper-lb" not in images
    with pytest.raises(BadInput, match="the supply `packages` does not have traefik"):
        resolve(_site(supply="packages", planes=wanted))


def test_two_that_want_one_port_of_the_host_are_refused() -> None:
    """Servicelb would give traefik 443, which the gateway holds; another port of either is good."""
    both = {"traefik": {"state": "on"}, "servicelb": {"state": "on"}}
    said = [str(f) for f in undeliverable(_site(supply="upstream", planes={"resource": both}))]
    assert said == [
        "planes.resource.servicelb: servicelb gives traefik port 443 of every host, and the gateway holds it;"
        " turn servicelb or traefik off, or give the gateway another port (values: {hostPort: 8443})"
    ]
    moved = {"resource": both, "access": {"gateway": {"values": {"hostPort": 8443}}}}
    assert undeliverable(_site(supply="upstream", planes=moved)) == []
    alone = {"resource": {"servicelb": {"state": "on"}}}
    assert undeliverable(_site(supply="upstream", planes=alone)) == []


@pytest.mark.parametrize(
    ("planes", "said"),
    [
        (
            {"resource": {"traefik": {"state": "on"}}},
            "planes.resource.traefik: both it and planes.access.ingress serve names on port 443, each by a "
            "Traefik of its own; "
            "turn traefik off: the ingress serves Ingress objects too (values: {teamIngresses: true})",
        ),
        (
            {"access": {"gateway": {"values": {"hostPort": 443}}}},
            "planes.access.gateway.values.hostPort: the ingress holds port 443 and passes on what is the "
            "gateway's; leave it out",
        ),
        ({"access": {"gateway": {"values": {"hostPort": 8443}}}}, None),
    ],
)
def test_the_ingress_holds_the_port_alone(planes: dict[str, Any], said: str | None) -> None:
    """Neither k3s' own traefik nor the gateway has it then; another port of the gateway is good."""
    wanted = {**planes, "access": {"ingress": {"state": "on"}, **planes.get("access", {})}}
    found = [str(f) for f in undeliverable(_site(supply="upstream", planes=wanted))]
    assert found == ([said] if said else [])


GPU_HOST = {"name": "s1", "address": "10.0.0.11", "role": "server", "hardware": {"gpus": ["RTX 4090"]}}
WITH_OPERATOR = {"resource": {"gpu-operator": {"state": "on"}}}


def test_the_gpu_operator_is_refused_where_packages_are_the_supply() -> None:
    """No package registry has its images: the finding names it."""
    said = [str(f) for f in undeliverable(_site(hosts=[GPU_HOST], planes=WITH_OPERATOR))]
    where = "planes.resource.gpu-operator: the supply `packages` does not have gpu-operator"
    assert said == [f"{where}; write `supply: upstream`, or leave it out"]


def test_sharing_needs_who_makes_it_so() -> None:
    """Without the operator a label would be set that nobody reads."""
    shared = {**GPU_HOST, "gpu": {"sharing": {"timeSlicing": 4}}}
    without = _site(hosts=[shared], supply="upstream")
    problem = "gpu-operator is off, and nothing else shares the GPUs of s1"
    fix = "turn planes.resource.gpu-operator on, or leave `sharing` out"
    assert [str(f) for f in undeliverable(without)] == [f"hosts[0].gpu.sharing: {problem}; {fix}"]
    assert undeliverable(_site(hosts=[shared], supply="upstream", planes=WITH_OPERATOR)) == []


def test_an_image_for_gpus_comes_for_sites_with_gpus_alone() -> None:
    """Upstream has both of vLLM's; packages build the one for processors, and say so of no site."""
    vllm = {"model": {"vllm": {"state": "on"}}}
    card = {"name": "s1", "address": "10.0.0.11", "role": "server", "hardware": {"gpus": ["L4"]}}
    for site, with_cuda in (
        (_site(supply="upstream", planes=vllm), False),
        (_site(supply="upstream", planes=vllm, hosts=[card]), True),
        (_site(supply="packages", planes=vllm, hosts=[card]), False),
    ):
        images = {a.name for a in resolve(site).of("image")}
        assert "docker.io/vllm/vllm-openai-cpu" in images
        assert ("docker.io/vllm/vllm-openai" in images) is with_cuda


def test_an_adapter_is_held_for_models_and_not_served_by_itself() -> None:
    """An engine could not start with it."""
    wanted = {"name": "random-lora:1m", "engine": "vllm"}
    planes = {"model": {"vllm": {"state": "on"}}}
    said = [str(f) for f in undeliverable(_site(supply="packages", planes=planes, models=[wanted]))]
    assert said == [
        "models[0]: random-lora:1m is not served by itself: it is an adapter; "
        "write `serve: false`, and name its image in a Model"
    ]
    held = [{**wanted, "serve": False}]
    assert undeliverable(_site(supply="packages", planes=planes, models=held)) == []
