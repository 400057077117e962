"""Which hosts get packages of their own operating system, and from where."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from aiplat.catalog.artifacts import Lock, OsPackage
from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.lockfile import diff_locks
from aiplat.catalog.os_recipes import repositories_of, system_sources
from aiplat.catalog.resolve import packages_brought, resolve, undeliverable
from aiplat.plan.staging import wanted_artifacts
from aiplat.site.models import Site
from aiplat.site.systems import SYSTEMS, OsName


def _site(*hosts: dict[str, Any], **more: Any) -> Site:
    named = [
        {"name": f"h{i}", "address": f"10.0.0.{i + 1}", "role": "agent" if i else "server", **host}
        for i, host in enumerate(hosts)
    ]
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3", "supply": "upstream"}
    return Site.model_validate({**head, "hosts": named, **more})


def _sets(site: Site) -> list[str]:
    return [a.label.removeprefix("hostfile ") for a in resolve(site).artifacts if a.os]


def test_every_system_that_a_site_may_name_has_its_places() -> None:
    """A name without repositories would carry nothing and say nothing."""
    assert set(system_sources()) == set(get_args(OsName))


@pytest.mark.parametrize("system", get_args(OsName))
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_addresses_are_whole_for_each_system_and_architecture(system: OsName, arch: Any) -> None:
    """Every placeholder of every recipe has a value, and every wish has a place to look."""
    wishes = [
        recipe.upstream.ospackages.families[SYSTEMS[system].like]
        for component in load_catalog().components
        for recipe in component.artifacts
        if recipe.upstream
        and recipe.upstream.ospackages
        and SYSTEMS[system].like in recipe.upstream.ospackages.families
    ]
    assert wishes
    for wish in wishes:
        repositories = repositories_of(system, arch, wish)
        assert repositories
        assert not any("{" in f"{one.apt}{one.rpm}{one.key}" for one in repositories)


def test_each_system_gets_sets_of_its_own() -> None:
    """Two hosts of one system share a set; SELinux' rules are for families that have SELinux."""
    site = _site({"os": "debian-12"}, {"os": "debian-12"}, {"os": "rocky-9", "arch": "arm64"}, {})
    assert _sets(site) == [
        "selinux-packages for rocky-9 linux/arm64",
        "apparmor-packages for debian-12",
        "network-packages for debian-12",
        "network-packages for rocky-9 linux/arm64",
    ]


def test_a_host_gets_the_sets_of_its_own_system() -> None:
    """Neither another system's, nor any where site.yaml does not say which it has."""
    site = _site({"os": "debian-12"}, {"os": "rocky-9"}, {})
    lock = resolve(site)
    got = [[a.os for a in wanted_artifacts(host, lock) if a.os] for host in site.hosts]
    assert got == [["debian-12", "debian-12"], ["rocky-9", "rocky-9"], []]


def test_the_driver_is_for_hosts_that_name_gpus() -> None:
    """Neither for hosts without, nor for those whose GPUs are to be left alone; and only on request."""
    gpus = {"hardware": {"gpus": ["L4"]}}
    hosts = (
        {"os": "ubuntu-24.04"},
        {"os": "ubuntu-24.04", **gpus},
        {"os": "debian-12", **gpus, "gpu": "none"},
    )
    wanted = _site(*hosts, planes={"resource": {"nvidia": {"state": "on"}}})
    lock = resolve(wanted)
    assert [a.label for a in lock.artifacts if a.component == "nvidia"] == [
        "hostfile nvidia-driver-open for ubuntu-24.04",
        "hostfile nvidia-toolkit for ubuntu-24.04",
    ]
    got = [any(a.when == "gpu" for a in wanted_artifacts(host, lock)) for host in wanted.hosts]
    assert got == [False, True, False]
    assert not [a for a in resolve(_site(*hosts)).artifacts if a.component == "nvidia"]


@pytest.mark.parametrize(
    ("gpu", "brought"),
    [
        ("auto", {"nvidia-driver-open", "nvidia-toolkit"}),
        ({"modules": "proprietary"}, {"nvidia-driver-proprietary", "nvidia-toolkit"}),
        ({"fabricManager": True}, {"nvidia-driver-open", "nvidia-fabricmanager", "nvidia-toolkit"}),
        ({"driver": "own", "fabricManager": True}, {"nvidia-toolkit"}),
        ("none", set()),
    ],
)
def test_a_host_says_which_driver_it_gets(gpu: Any, brought: set[str]) -> None:
    """One flavour of modules a host, the fabric manager on request, and no driver where it has its own."""
    host = {"os": "ubuntu-24.04", "hardware": {"gpus": ["L4"]}, "gpu": gpu}
    wanted = _site(host, planes={"resource": {"nvidia": {"state": "on"}}})
    sets = [a.name for a in wanted_artifacts(wanted.hosts[0], resolve(wanted)) if a.component == "nvidia"]
    assert set(sets) == brought


def test_what_another_supply_has_alone_is_refused_with_its_name() -> None:
    """Turned on under `packages` it would silently bring nothing."""
    site = _site({}, planes={"resource": {"nvidia": {"state": "on"}}}, supply="packages")
    assert [str(f) for f in undeliverable(site)] == [
        "planes.resource.nvidia: the supply `packages` does not have nvidia; "
        "write `supply: upstream`, or leave it out"
    ]


def test_another_place_to_look_is_another_set() -> None:
    """Where a system has its packages is part of what a set is made of."""
    lock = resolve(_site({"os": "debian-12"}, {"os": "debian-13"}))
    inputs = [a.inputs for a in lock.artifacts if a.name == "network-packages"]
    assert len(set(inputs)) == len(inputs) == 2


def test_what_is_brought_to_a_host_is_known_by_name() -> None:
    """Checks of hosts do not miss what comes anyway, and do miss it where no system is named."""
    site = _site({"os": "rocky-9"}, {"os": "debian-12"}, {})
    brought = [packages_brought(site, host) for host in site.hosts]
    assert {"container-selinux", "k3s-selinux"} <= brought[0]
    assert "apparmor" in brought[1]
    assert brought[2] == frozenset()


def test_a_lock_says_which_packages_of_a_set_changed() -> None:
    """Whoever looks at an update sees names and versions, not that a digest is another."""
    lock = resolve(_site({"os": "debian-12"}))

    def with_versions(**versions: str) -> Lock:
        packages = tuple(
            OsPackage(
                name=n, version=v, arch="amd64", digest="sha256:" + v * 64, size=1, source="", signed=""
            )
            for n, v in versions.items()
        )
        sets = [a.model_copy(update={"packages": packages}) for a in lock.artifacts]
        return lock.model_copy(update={"artifacts": tuple(a for a in sets if a.name == "network-packages")})

    before, after = with_versions(conntrack="1", nftables="1"), with_versions(conntrack="2", libmnl0="1")
    assert diff_locks(before, after) == [
        "hostfile network-packages for debian-12 changes: conntrack 1 → 2, libmnl0 1 comes, nftables 1 goes"
    ]
    assert diff_locks(before, before) == []
