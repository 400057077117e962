"""Plans for hosts with GPUs: what is done, restarted and refused, by what was seen of their cards."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.catalog.artifacts import Artifact, Blob, Lock, OsPackage
from aiplat.content import sha256_bytes
from aiplat.gpu.host import GpuCard, GpuHost, GpuSeen
from aiplat.plan.gpus import offer_of
from aiplat.plan.make import make_plan
from aiplat.plan.models import Facts, Ledger, LedgerStep, Plan
from aiplat.plan.refusals import refusals
from aiplat.plan.role_variables import HostGpu, HostPrepare, HostReboot, RoleVariables
from aiplat.plan.variables import role_variables
from aiplat.site.models import Site
from tests.plan.worlds import PUBLIC, facts_of, lock_of, site_of, small_catalog

SETS = {
    "nvidia-driver-open": (
        "gpu-open",
        {"nvidia-driver-cuda": "580.142-1", "nvidia-kernel-open-dkms": "580.142-1"},
    ),
    "nvidia-driver-proprietary": ("gpu-proprietary", {"nvidia-driver-cuda": "580.142-1"}),
    "nvidia-fabricmanager": ("gpu-fabric", {"nvidia-fabricmanager": "580.142-1"}),
    "nvidia-toolkit": ("gpu", {"nvidia-container-toolkit": "1.19.1-1"}),
    "network-packages": ("always", {"linux-headers-6.1.0-41-amd64": "6.1.158-1"}),
}
L4 = GpuHost(cards=(GpuCard(name="L4", device="27b8"),), system="debian-12", headers=True)


def gpu_site(gpu: Any = "auto", *, on: bool = True) -> Site:
    """Return a site of one server with a GPU."""
    host = {"name": "s1", "address": "10.0.0.11", "role": "server", "os": "debian-12"}
    over: dict[str, Any] = {"hosts": [{**host, "hardware": {"gpus": ["L4"]}, "gpu": gpu}]}
    return site_of(over | ({"planes": {"resource": {"nvidia": {"state": "on"}}}} if on else {}))


def gpu_lock(**versions: str) -> Lock:
    """Return a lock that has every set of NVIDIA's packages; `versions` are other ones by package."""
    lock = lock_of()
    return lock.model_copy(update={"artifacts": (*lock.artifacts, *(_set(n, versions) for n in SETS))})


def _set(name: str, versions: dict[str, str]) -> Artifact:
    when, members = SETS[name]
    one = {"arch": "amd64", "size": 1, "source": "http://example/x.deb", "signed": "key"}
    found = [
        OsPackage(
            name=n, version=versions.get(n.replace("-", "_"), v), digest=sha256_bytes(n.encode()), **one
        )
        for n, v in members.items()
    ]
    digest = sha256_bytes(name.encode())
    component = "host-packages" if name == "network-packages" else "nvidia"
    return Artifact.model_validate(
        {"kind": "hostfile", "name": name, "version": "1", "component": component, "os": "debian-12"}
        | {"when": when, "hosts": "all", "inputs": digest, "digest": digest, "packages": tuple(found)}
        | {"blobs": (Blob(digest=digest, size=1),)}
    )


def seen(site: Site, verdict: str, host: GpuHost = L4, **over: Any) -> Facts:
    """Return the facts of the site's host with a verdict on its GPUs."""
    facts = facts_of(site, {}, {}).hosts[0]
    more = {"os_id": "debian", "os_version": "12", "gpu": GpuSeen(verdict=verdict, cause="…", host=host)}
    return Facts(hosts=(facts.model_copy(update=more | over),))


def plan(site: Site, facts: Facts, lock: Lock | None = None) -> Plan:
    """Return the plan."""
    return make_plan(site, lock or gpu_lock(), facts, PUBLIC, small_catalog())


def role(kind: type[RoleVariables], site: Site, facts: Facts) -> Any:
    """Return what a role of the host is given."""
    given = role_variables(site, gpu_lock(), small_catalog(), PUBLIC, facts)["s1"]
    return next(one for one in given if isinstance(one, kind))


def test_a_fresh_host_gets_its_driver_and_reboots_before_it_is_a_node() -> None:
    """Nouveau holds the card: the steps come between the host's preparation and Kubernetes."""
    site = gpu_site()
    made = plan(site, seen(site, "nouveau-bound", L4.model_copy(update={"nouveau": True})))
    steps = [step.id for step in made.steps]
    assert steps[2:6] == ["host_prepare", "host_gpu", "host_reboot", "site_registry"]
    gpu, reboot = made.steps[3], made.steps[4]
    assert "not installed yet; nouveau-bound: keep nouveau off the cards" in gpu.reason["s1"]
    assert reboot.restarts == ("the whole host on s1",)
    assert reboot.reason == {"s1": "nouveau-bound: the host reboots, then its driver is asked"}


def test_packages_for_gpus_are_given_to_their_role_alone() -> None:
    """The host's preparation does not install a driver before it is known whether it may."""
    site = gpu_site()
    facts = seen(site, "driver-not-installed")
    names = {p.name for p in role(HostGpu, site, facts).packages}
    assert names == {"nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-container-toolkit"}
    assert not names & {p.name for p in role(HostPrepare, site, facts).packages}


@pytest.mark.parametrize(
    ("verdict", "gpu", "ours"),
    [
        ("healthy", "auto", False),
        ("container-toolkit-missing", "auto", False),
        ("healthy", {"driver": "own"}, False),
    ],
)
def test_a_driver_that_works_stays_the_hosts_own(verdict: str, gpu: Any, ours: bool) -> None:
    """Only the toolkit is brought beside it."""
    site = gpu_site(gpu)
    working = L4.model_copy(update={"driver": "595.71.05", "works": True, "toolkit": False})
    found = role(HostGpu, site, seen(site, verdict, working))
    assert (found.driver, [p.name for p in found.packages]) == (ours, ["nvidia-container-toolkit"])


def test_a_driver_that_aiplat_installed_stays_aiplats() -> None:
    """Its step is as it was when the driver works: nothing is to do."""
    site = gpu_site()
    kept = {"host_gpu": LedgerStep(packages=("nvidia-driver-cuda", "nvidia-container-toolkit"))}
    facts = seen(site, "healthy", ledger=Ledger(site="case", steps=kept))
    assert role(HostGpu, site, facts).driver
    fresh = role(HostGpu, site, seen(site, "driver-not-installed"))
    assert {p.name for p in role(HostGpu, site, facts).packages} == {p.name for p in fresh.packages}


def test_kubernetes_is_restarted_where_it_runs_and_that_is_announced() -> None:
    """It looks for the container runtime when it starts; a unit that does not run needs no restart."""
    site = gpu_site()
    working = L4.model_copy(update={"driver": "595.71.05", "works": True, "toolkit": False})
    runs = {"k3s.service": {"ActiveState": "active", "MainPID": "1"}}
    facts = seen(site, "container-toolkit-missing", working, units=runs)
    step = next(step for step in plan(site, facts).steps if step.id == "host_gpu")
    assert "k3s.service on s1" in step.restarts
    assert role(HostGpu, site, seen(site, "container-toolkit-missing", working)).restart == ()


def test_a_reboot_that_was_cut_off_is_ended() -> None:
    """The ledger has the start it began in; what the verdict says by then does not matter."""
    site = gpu_site()
    steps = {"host_reboot": LedgerStep(inputs={"from": "an-earlier-start"})}
    made = plan(site, seen(site, "healthy", ledger=Ledger(site="case", steps=steps)))
    found = {step.id: step.reason["s1"] for step in made.steps if step.id == "host_reboot"}
    assert found == {"host_reboot": "a reboot of it was cut off"}


@pytest.mark.parametrize(
    ("nodes", "ready", "drain", "node"),
    [
        ((), (), False, False),
        (("s1",), ("s1",), False, True),
        (("s1", "a1"), ("a1", "s1"), True, True),
        (("a1",), ("a1",), False, False),
    ],
    ids=["no cluster", "one node", "another is Ready", "not a node"],
)
def test_a_node_is_drained_where_another_can_take_its_pods(
    nodes: tuple[str, ...], ready: tuple[str, ...], drain: bool, node: bool
) -> None:
    """Alone it is not: its pods would have nowhere to go."""
    site = gpu_site()
    found = role(HostReboot, site, seen(site, "gpu-reset-required", nodes=nodes, nodes_ready=ready))
    assert (found.drain, found.node) == (drain, node)


@pytest.mark.parametrize(
    ("gpu", "verdict", "host", "words"),
    [
        ("auto", "gpu-fallen-off-bus", L4, "s1: gpu-fallen-off-bus: A card stopped answering"),
        (
            "auto",
            "driver-not-installed",
            GpuHost(cards=(GpuCard(name="Tesla P40"),)),
            "s1: driver-not-installed: its cards need the proprietary kernel modules, and the bundle has "
            "others for it; write `gpu: {modules: proprietary}` for it in site.yaml",
        ),
        ("auto", "no-gpu", GpuHost(), "s1: site.yaml names GPUs (L4), and its bus has none of NVIDIA's"),
        (
            {"driver": "own"},
            "nouveau-bound",
            L4,
            "s1: nouveau-bound: site.yaml leaves its driver to you; put it right, or write "
            "`gpu: {driver: bundle}`",
        ),
        ("auto", "unknown", L4, "s1: unknown: what was seen does not say what is wrong"),
    ],
    ids=["a card is gone", "a flavour is not brought", "no card", "the driver is not aiplat's", "unknown"],
)
def test_what_cannot_be_done_is_refused_by_the_plan(
    gpu: Any, verdict: str, host: GpuHost, words: str
) -> None:
    """Before anything is changed, with what to do."""
    site = gpu_site(gpu)
    assert [str(f) for f in refusals(site, gpu_lock(), seen(site, verdict, host)) if words in str(f)]


def test_a_fabric_manager_of_another_release_is_refused() -> None:
    """Both must be equal to the last digit, or no card starts."""
    site = gpu_site({"fabricManager": True})
    lock = gpu_lock(nvidia_fabricmanager="580.126.20-1")
    found = [str(f) for f in refusals(site, lock, seen(site, "healthy"))]
    assert found == [
        "s1: the bundle has driver 580.142 and fabric manager 580.126.20, which do not go together; "
        "lock the site again: aiplat lock"
    ]


def test_a_bundle_says_what_it_has_for_a_host() -> None:
    """The driver's version, its flavour, the fabric manager, and for which kernels it has headers."""
    host = gpu_site({"modules": "proprietary"}).hosts[0]
    offer = offer_of(host, gpu_lock())
    assert (offer.version, offer.modules, offer.fabric_manager) == ("580.142", ("proprietary",), False)
    assert offer.headers == ("6.1.0-41-amd64",)


@pytest.mark.parametrize("site", [gpu_site(on=False), gpu_site("none")], ids=["not asked for", "left alone"])
def test_gpus_that_nobody_asked_for_are_left_alone(site: Site) -> None:
    """Neither a step nor a refusal, whatever the cards are like."""
    facts = seen(site, "gpu-fallen-off-bus")
    assert not [f for f in refusals(site, gpu_lock(), facts) if "gpu" in str(f)]
    assert not [step for step in plan(site, facts).steps if step.id in {"host_gpu", "host_reboot"}]
