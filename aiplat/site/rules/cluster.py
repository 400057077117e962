"""Rules about `cluster.k3s`: arguments and name servers; what a running cluster takes is aiplat.plan's."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

import re
from collections.abc import Iterator

from aiplat.site.addresses import as_ip
from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, shown
from aiplat.site.known import Known

_K3S = ("cluster", "k3s")
_ARGUMENT = re.compile(r"[a-z][a-z0-9-]*=\S.*", re.DOTALL)
# What aiplat or k3s says to them itself, and what says so instead.
_OURS = {
    "kubeletArgs": {
        "node-ip": "hosts[].nodeAddress",
        "root-dir": "hosts[].dataDir",
        "hostname-override": "hosts[].name",
        "resolv-conf": "cluster.k3s.resolvers",
        "cluster-dns": "cluster.serviceCIDR",
        "config": "",
        "container-runtime-endpoint": "",
        "read-only-port": "",
    },
    "apiServerArgs": {
        "service-cluster-ip-range": "cluster.serviceCIDR",
        "encryption-provider-config": "cluster.k3s.secretsEncryption",
        "admission-control-config-file": "cluster.k3s.podSecurity",
        "audit-policy-file": "cluster.k3s.audit",
        "audit-log-path": "cluster.k3s.audit",
        "anonymous-auth": "",
        "authorization-mode": "",
        "etcd-servers": "",
    },
}


def bad_kubernetes_argument(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """An argument of the kubelet or the API server is `name=value`, without dashes in front."""
    for path, text in _arguments(document):
        if not _ARGUMENT.fullmatch(text):
            bare = text.lstrip("-")
            fix = f"write {bare}" if _ARGUMENT.fullmatch(bare) else "write it as name=value"
            yield document.finding(path, f"{shown(text)} is not a name=value", fix)


def argument_of_aiplats(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """What aiplat and k3s tell Kubernetes themselves is not told a second time."""
    for path, text in _arguments(document):
        name = text.partition("=")[0]
        ours = _OURS[str(path[-2])]
        if name in ours:
            fix = f"say it as {ours[name]}" if ours[name] else "leave it out"
            yield document.finding(path, f"{name} is set by aiplat or k3s", fix)


def bad_resolver(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Name servers are IP addresses that pods can reach, at most three."""
    listed = document.at(*_K3S, "resolvers")
    entries = listed if isinstance(listed, list) else []
    if len(entries) > 3:
        problem = f"{len(entries)} name servers; a resolver asks three"
        yield document.finding((*_K3S, "resolvers"), problem, "leave out the others")
    for number, text in enumerate(entries):
        ip = as_ip(text)
        if isinstance(text, str) and (ip is None or ip.is_loopback or ip.is_unspecified):
            why = "is not an IP address" if ip is None else "is the pod itself for whoever asks it there"
            yield document.finding(
                (*_K3S, "resolvers", number), f"{shown(text)} {why}", "write an address like 10.0.0.53"
            )


def _arguments(document: YamlDocument) -> Iterator[tuple[Path, str]]:
    for name in _OURS:
        listed = document.at(*_K3S, name)
        for number, text in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(text, str):
                yield (*_K3S, name, number), text
