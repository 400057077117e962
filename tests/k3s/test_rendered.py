"""Whatever a site says, the files that the roles write are files that k3s takes as they are meant."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from aiplat.k3s.contract import config_findings, keys, registries_findings
from aiplat.k3s.release import release_of
from aiplat.plan.role_variables import K3sAgent, K3sServer
from aiplat.plan.variables import k3s_variables
from aiplat.shipped import shipped
from aiplat.site.load import load_site
from aiplat.site.models import Site
from tests.k3s.rendered import files_of
from tests.plan.worlds import lock_of

ROOT = shipped("roles").parent
SITES = sorted({*ROOT.glob("inventory/*/site.yaml"), *ROOT.glob("tests/site/valid/*.yaml")})
SITES += sorted(ROOT.glob("tests/e2e/sites/*.yaml"))
GENERATED = 200
RELEASES = ("v1.33.5+k3s1", "v1.34.6+k3s1", "v1.35.0+k3s1", "v1.36.3+k3s1")


def nodes_of(site: Site) -> list[K3sServer | K3sAgent]:
    """Return the variables of every node of a site."""
    return [k3s_variables(site, host, lock_of()) for host in site.hosts]


def problems(node: K3sServer | K3sAgent, release: str, files: dict[str, Any]) -> list[str]:
    """Return what k3s would not take of the files that a role writes."""
    command = "server" if isinstance(node, K3sServer) else "agent"
    found = config_findings(command, release_of(release), files["config"])
    return [str(finding) for finding in (*found, *registries_findings(files["registries"]))]


@pytest.mark.parametrize("path", SITES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_files_of_every_example_site_are_taken(path: Path) -> None:
    """No key is unknown, of another type or of a later release, on servers and on agents."""
    for node in nodes_of(load_site(path)):
        files = files_of(node)
        assert [found for release in RELEASES for found in problems(node, release, files)] == []


def some(pick: random.Random, *choices: Any) -> Any:
    """Return one of the choices."""
    return copy.deepcopy(pick.choice(choices))


NETWORKS = {
    "podCIDR": {"4": "10.100.0.0/16", "6": "fd00:42::/48"},
    "serviceCIDR": {"4": "10.101.0.0/16", "6": "fd00:43::/112"},
}


def addresses(families: str, number: int) -> str:
    """Return the addresses of a host, one of each family, as the site file has them."""
    return ",".join(f"192.0.2.{number}" if family == "4" else f"fd00:1::{number:x}" for family in families)


def generated(seed: int) -> dict[str, Any]:
    """Return a site with whatever a site may say of Kubernetes; the same for the same seed."""
    pick = random.Random(seed)  # noqa: S311 - made-up sites, no secrets
    families = some(pick, "4", "4", "4", "6", "46", "64")
    host = {"name": "s1", "address": addresses(families[0], 11), "role": "server"}
    host |= {"nodeAddress": addresses(families, 11)} if len(families) > 1 else {}
    host |= some(pick, {}, {}, {"dataDir": "/data/plat"})
    agents = [
        {"name": f"a{n}", "address": f"a{n}.example", "nodeAddress": addresses(families, n), "role": "agent"}
        | some(pick, {}, {"interface": some(pick, "eth1", "ens4", "bond0.7")})
        for n in range(20, 20 + pick.randrange(4))
    ]
    k3s: dict[str, Any] = {}
    for name, values in {
        "resolvers": ([], [addresses(families[0], 53)], addresses(families, 53).split(",")),
        "kubeletArgs": ([], ["max-pods=200"], ["eviction-hard=memory.available<1Gi,nodefs.available<5%"]),
        "apiServerArgs": ([], ["event-ttl=2h", "feature-gates=ImageVolume=true"]),
        "secretsEncryption": ("aescbc", "secretbox"),
        "audit": (True, False),
        "podSecurity": ("privileged", "baseline", "restricted"),
    }.items():
        if pick.random() < 0.6:
            k3s[name] = some(pick, *values)
    networks = {key: ",".join(found[f] for f in families) for key, found in NETWORKS.items()}
    usual = families == "4" and pick.random() < 0.5
    cluster = {
        "k3s": k3s,
        **({} if usual else networks),
        **some(pick, {}, {"domain": "ai.example"}, {"endpoint": "ai.example"}),
    }
    packaged = some(pick, (), (), ("traefik",), ("servicelb", "metrics-server"))
    return {
        "planes": {"resource": {name: {"state": "on"} for name in packaged}},
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": f"ward-{seed}",
        "hosts": [host, *agents],
        "cluster": cluster,
    }


def facts_of(seed: int) -> dict[str, Any]:
    """Return what the host itself says, the same for the same seed."""
    pick = random.Random(-seed)  # noqa: S311 - made-up hosts
    return {
        "cgroup_v1": pick.random() < 0.3,
        "selinux": pick.random() < 0.3,
        "nameservers": some(pick, [], ["192.0.2.53"], ["fd00::53", "192.0.2.53"]),
    }


def every_node() -> Iterator[tuple[int, K3sServer | K3sAgent]]:
    """Yield the nodes of all generated sites."""
    for seed in range(1, GENERATED + 1):
        for node in nodes_of(Site.model_validate(generated(seed))):
            yield seed, node


def test_files_of_generated_sites_are_taken() -> None:
    """At least 200 sites, in every combination of settings, networks and what hosts say."""
    seen, keys_seen, families_seen = set(), set(), set()
    for seed, node in every_node():
        seen.add(seed)
        files = files_of(node, **facts_of(seed))
        keys_seen |= set(files["config"])
        families_seen.add(tuple(ip_address(a).version for a in files["config"]["node-ip"].split(",")))
        found = problems(node, RELEASES[seed % len(RELEASES)], files)
        assert found == [], (seed, generated(seed))
    assert len(seen) == GENERATED
    assert families_seen == {(4,), (6,), (4, 6), (6, 4)}
    assert (
        {"flannel-iface", "kube-apiserver-arg", "resolv-conf", "selinux", "server"}
        <= keys_seen
        <= set(keys())
    )


def test_a_packaged_component_that_a_site_wants_is_kept() -> None:
    """It is no longer among what k3s leaves out; the others are, and one that is turned off again."""
    every = ["traefik", "servicelb", "metrics-server"]
    for name, state in ((name, state) for name in every for state in ("on", "off")):
        document = generated(1) | {"planes": {"resource": {name: {"state": state}}}}
        disabled = [other for other in every if other != name or state == "off"]
        server = nodes_of(Site.model_validate(document))[0]
        assert list(files_of(server)["config"]["disable"]) == disabled


def test_everything_large_of_k3s_is_in_the_data_folder() -> None:
    """Its own data, the kubelet's and the audit log; the token is looked for where the server keeps it."""
    document = generated(3)
    document["hosts"][0]["dataDir"] = "/data/plat"
    document["cluster"]["k3s"]["audit"] = True
    server, *agents = nodes_of(Site.model_validate(document))
    config = files_of(server)["config"]
    assert config["data-dir"] == "/data/plat/k3s"
    assert "root-dir=/data/plat/kubelet" in config["kubelet-arg"]
    assert "audit-log-path=/data/plat/k3s/server/logs/audit.log" in config["kube-apiserver-arg"]
    assert agents
    for agent in agents:
        assert agent.model_dump()["token_file"] == "/data/plat/k3s/server/token"
        assert files_of(agent)["config"]["data-dir"] == "/var/lib/rancher/k3s"


@pytest.mark.parametrize("wrong", ["flannel-interface", "secret-encryption", "disabled"])
def test_one_wrong_key_is_found(wrong: str) -> None:
    """The check is not a formality: one misspelt key in what a role writes is a finding."""
    node = nodes_of(load_site(ROOT / "inventory/lab/site.yaml"))[0]
    config = files_of(node)["config"] | {wrong: "eth0"}
    found = config_findings("server", release_of(RELEASES[-1]), config)
    assert [finding.where for finding in found] == [f"config.yaml: {wrong}"]


@pytest.mark.parametrize(
    ("resolvers", "seen", "asked"),
    [
        (None, ["10.0.0.53"], ["10.0.0.53"]),
        (None, [], ["10.94.1.11"]),
        ((), ["10.0.0.53"], ["10.94.1.11"]),
        (("10.0.0.54",), ["10.0.0.53"], ["10.0.0.54"]),
    ],
)
def test_nobody_is_asked_outside_where_the_site_says_so(
    resolvers: tuple[str, ...] | None, seen: list[str], asked: list[str]
) -> None:
    """Without a name server pods ask the node's own address, where nobody answers."""
    node = nodes_of(load_site(ROOT / "inventory/lab/site.yaml"))[0].model_copy(
        update={"resolvers": resolvers}
    )
    lines = files_of(node, nameservers=seen)["resolver"].splitlines()
    assert [line.split()[1] for line in lines if line.startswith("nameserver")] == asked
