"""Rules about a cluster that is there already: what a site in it says, and what only hosts have."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

import re
from collections.abc import Iterator

from aiplat.site.certificates import fault_of_certificates
from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, shown
from aiplat.site.known import Known
from aiplat.site.rules.files import absolute

# What aiplat decides of a cluster that it makes, and its owner decides of any other.
OF_OWN_CLUSTER = ("podCIDR", "serviceCIDR", "k3s")
OF_EXISTING_CLUSTER = ("context", "registry", "registryCA", "load", "serviceType")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REGISTRY = re.compile(rf"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{{1,5}})?(/{_PART})*")


def missing_hosts(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A site has hosts, or a cluster that is there already."""
    if "hosts" not in document.data and not _existing(document):
        yield document.finding(
            ("hosts",), "this key is required and missing", "add `hosts:` with at least one server"
        )


def hosts_beside_cluster(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A site in an existing cluster has no hosts: its machines are not aiplat's to change."""
    if _existing(document) and document.at("hosts"):
        problem = "cluster.existing names a cluster whose machines are not aiplat's to change"
        yield document.finding(("hosts",), problem, "leave `hosts` out, or `cluster.existing`")


def setting_of_own_cluster(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """What aiplat decides of a cluster that it makes is not said of one that is there already."""
    for path, value in document.entries("cluster") if _existing(document) else ():
        if path[-1] in OF_OWN_CLUSTER and value is not None:
            yield document.finding(path, "the existing cluster has its own", "leave it out")


def setting_without_cluster(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Settings of an existing cluster stand beside the cluster's kubeconfig."""
    for path, value in document.entries("cluster") if not _existing(document) else ():
        if path[-1] in OF_EXISTING_CLUSTER and value is not None:
            problem = "is about a cluster that is there already, and none is named"
            yield document.finding(path, problem, "add `existing: KUBECONFIG`, or leave it out")


def one_way_of_images(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Images come into an existing cluster by a registry, or by the tool that made it, not by both."""
    if not _existing(document):
        return
    said = [name for name in ("registry", "load") if document.at("cluster", name)]
    if not said:
        problem = "nothing says how images come into it"
        fix = "add `registry: HOST/PREFIX` that its nodes pull from, or `load: kind` or `k3d`"
        yield document.finding(("cluster", "existing"), problem, fix)
    if len(said) == 2:
        yield document.finding(("cluster", "load"), "images come by the registry already", "leave one out")


def bad_registry(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A registry is a host, perhaps a port and a prefix, as images are named by it."""
    registry = document.at("cluster", "registry")
    if isinstance(registry, str) and not _REGISTRY.fullmatch(registry):
        bare = re.sub(r"^[a-z]+://", "", registry).rstrip("/")
        fix = f"write {bare}" if _REGISTRY.fullmatch(bare) else "write registry.example:5000/aiplat"
        yield document.finding(("cluster", "registry"), f"{shown(registry)} is not a registry", fix)


def unusable_ca_of_registry(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A CA of the registry that is named is a file with certificates alone, and there is a registry."""
    path: Path = ("cluster", "registryCA")
    named = document.at(*path)
    if not isinstance(named, str):
        return
    if fault := fault_of_certificates(absolute(named, document.folder)):
        yield document.finding(path, *fault)
    elif not document.at("cluster", "registry"):
        yield document.finding(path, "no registry is named", "add `registry`, or leave it out")


def _existing(document: YamlDocument) -> str:
    named = document.at("cluster", "existing")
    return named if isinstance(named, str) else ""
