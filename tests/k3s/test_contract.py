"""k3s' rules for its files, each with a mistake that k3s itself would pass over or stop at."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.k3s.arguments import argument_findings, arguments_of
from aiplat.k3s.contract import Command, config_findings, critical_keys, keys, registries_findings
from aiplat.k3s.release import release_of, step_problem

NOW = release_of("v1.36.3+k3s1")


def test_every_key_of_both_commands_is_known() -> None:
    """As many as k3s itself has: a line lost here would make a good key unknown."""
    commands = [key.command for key in keys().values()]
    assert sum(command != "agent" for command in commands) == 126
    assert sum(command != "server" for command in commands) == 46
    assert len(critical_keys()) == 15


@pytest.mark.parametrize(
    ("command", "config", "said"),
    [
        ("server", {"flanel-iface": "eth0"}, "passes over it; did you mean flannel-iface?"),
        ("agent", {"cluster-cidr": ["10.42.0.0/16"]}, "is not a key of k3s agent, which fails at it"),
        ("server", {"secrets-encryption": "true"}, "is str and not bool"),
        ("server", {"tls-san": [6443]}, "not a list of texts"),
        ("server", {"token": None}, "is empty"),
        ("server", {"disable": ["treafik"]}, "'treafik' is none of its values; one of coredns"),
        ("server", {"disable": ["traefik,servicelb", "runtime"]}, "'runtime' is none of its values"),
        ("server", {"flannel-backend": "wireguard"}, "'wireguard' is none of its values"),
        ("server", {"cluster-cidr": ["10.42.0.1/16"]}, "has host bits set"),
        (
            "server",
            {"node-ip": "10.0.0.11", "cluster-cidr": "10.42.0.0/16,fd42::/56"},
            "is IPv4, and cluster-cidr",
        ),
        (
            "server",
            {"service-cidr": "fd43::/112", "cluster-cidr": "10.42.0.0/16"},
            "is IPv6, and cluster-cidr is IPv4",
        ),
        (
            "server",
            {"service-cidr": ["fd43::/112", "10.43.0.0/16"], "cluster-cidr": "10.42.0.0/16,fd42::/56"},
            "is IPv6 and IPv4, and cluster-cidr is IPv4 and IPv6",
        ),
        ("server", {"cluster-dns": ["dns.example"]}, "does not appear to be an IPv4 or IPv6 address"),
        ("agent", {"kubelet-arg": ["max-pods"]}, "'max-pods' is not a name=value"),
        ("agent", {"node-ip": "10.0.0.11,"}, "has an empty item"),
        ("agent", {"server": "10.0.0.11:6443"}, "is not an https://HOST:PORT"),
        ("server", {"disable-kube-proxy": 1}, "is int and not bool"),
    ],
)
def test_a_mistake_is_named(command: Command, config: dict[str, Any], said: str) -> None:
    """With its place, and the key that was meant."""
    (finding,) = config_findings(command, NOW, config)
    assert said in str(finding)
    assert finding.where == f"config.yaml: {next(iter(config))}"


@pytest.mark.parametrize(
    ("release", "known"),
    [
        ("v1.33.13+k3s1", False),
        ("v1.34.9+k3s1", False),
        ("v1.34.10+k3s1", True),
        ("v1.35.6+k3s1", False),
        ("v1.36.3+k3s1", True),
        ("v1.37.0+k3s1", True),
    ],
)
def test_a_key_is_known_from_its_release_on(release: str, known: bool) -> None:
    """Each minor version got it with a patch of its own, and an older one never did."""
    found = config_findings("server", release_of(release), {"helm-controller-arg": ["a=b"]})
    assert (found == []) is known


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"mirror": {}}, "mirror: is not a key, and k3s ignores it in silence; did you mean mirrors?"),
        ({"mirrors": {"*": {"endpoints": []}}}, "mirrors.*: endpoints: is not a key"),
        ({"mirrors": {"*": {"endpoint": ["10.0.0.11:5443"]}}}, "'10.0.0.11:5443' is not a URL"),
        ({"configs": {"h": {"tls": {"cafile": "x"}}}}, "cafile: is not a key, and k3s ignores it"),
        ({"configs": {"h": {"auth": {"token": "x"}}}}, "token: is not a key"),
        (
            {"mirrors": {"*": {"endpoint": ["https://h:5443"]}}, "configs": {"h": {}}},
            "configs.h: is for no endpoint; those are h:5443",
        ),
    ],
)
def test_a_registries_file_is_read_strictly(document: dict[str, Any], said: str) -> None:
    """k3s itself says nothing of any of these, and then pulls from elsewhere or not at all."""
    (finding,) = registries_findings(document)
    assert said in str(finding)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("v1.35.7+k3s1", "v1.36.3+k3s1", ""),
        ("v1.36.3+k3s1@sha256:0", "v1.36.3+k3s2", ""),
        ("v1.34.6+k3s1", "v1.36.3+k3s1", "skips a minor version"),
        ("v1.36.3+k3s1", "v1.35.7+k3s1", "is older"),
        ("v1.36.3+k3s2", "v1.36.3+k3s1", "is older"),
    ],
)
def test_kubernetes_goes_up_by_one_minor_version_at_most(old: str, new: str, said: str) -> None:
    """A downgrade and a skipped minor version are refused, each with the way out."""
    problem = step_problem(release_of(old), release_of(new))
    assert (problem is None) if not said else (problem is not None and said in problem[0])


def test_an_argument_of_kubernetes_is_known_or_named() -> None:
    """The one that was meant is said; another minor version, whose list is not here, is not judged."""
    asked = ("max-pod=90", "max-pods=90", "frobnicate=1")
    found = list(argument_findings("kubeletArgs", "kubelet", NOW, asked))
    assert [finding.where for finding in found] == ["kubeletArgs[0]", "kubeletArgs[2]"]
    assert "did you mean max-pods?" in str(found[0])
    assert list(argument_findings("kubeletArgs", "kubelet", release_of("v1.35.7+k3s1"), asked)) == []
    assert {"fail-cgroupv1", "max-pods"} <= arguments_of("kubelet")
    assert {"audit-policy-file", "feature-gates"} <= arguments_of("kube-apiserver")
