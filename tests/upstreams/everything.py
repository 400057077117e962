"""Publishes what the default components come from, under the names and versions that their recipes give."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiplat.catalog.artifacts import Lock
from aiplat.catalog.resolve import resolve
from aiplat.catalog.versions import from_versions_yaml
from aiplat.site.models import Site
from tests.upstreams.images import multi_arch, tar_of
from tests.upstreams.registry import Registry
from tests.upstreams.releases import Files, GitHub
from tests.upstreams.server import Upstreams

K3S_IMAGES = {
    "rancher/mirrored-pause": "3.6",
    "rancher/mirrored-coredns-coredns": "1.14.2",
    "rancher/local-path-provisioner": "v0.0.36",
    "rancher/mirrored-library-busybox": "1.37.0",
}
_ARCHES = ("amd64", "arm64")


@dataclass
class Programs:
    """What releases hold; small made files, unless a test has real ones."""

    k3s: bytes = b"k3s of a test\n" * 5000
    helm: bytes = b"helm of a test\n" * 3000
    registry: bytes = b"registry of a test\n" * 3000


@dataclass
class Published:
    """The hosts, for tests that exchange what they serve."""

    net: Upstreams
    hub: Registry
    github: GitHub
    helm: Files
    images: dict[str, str] = field(default_factory=dict)
    """Tags by repository."""

    def exchange_image(self, repository: str, folder: Path) -> str:
        """Serve another image under the same tag; return its digest."""
        multi_arch(folder, size=1234)
        return self.hub.push(repository, self.images[repository], folder)

    def exchange_k3s(self, content: bytes) -> None:
        """Publish another k3s under the same version."""
        _publish_k3s(self.github, content)


def publish(
    net: Upstreams,
    folder: Path,
    programs: Programs | None = None,
    layouts: Mapping[str, Path] | None = None,
    k3s_images: Mapping[str, str] | None = None,
) -> Published:
    """Serve everything; `layouts` are images to serve instead of made ones, by repository."""
    programs, layouts = programs or Programs(), layouts or {}
    lock = resolve(_site(), supply="upstream")
    helm, version = _archive("linux-{arch}/helm", programs.helm), _version(lock, "helm")
    files = {f"/helm-v{version}-linux-{a}.tar.gz": helm[a] for a in _ARCHES}
    sums = {f"{n}.sha256sum": _line(n.rpartition("/")[2], data) for n, data in files.items()}
    published = Published(net, net.docker_hub(), net.github(), net.files("get.helm.sh", {**files, **sums}))
    _publish_registry(published.github, programs.registry, _version(lock, "registry"))
    tags = {
        **(k3s_images or K3S_IMAGES),
        "ollama/ollama": _version(lock, "docker.io/ollama/ollama"),
        "pgvector/pgvector": _version(lock, "ghcr.io/aiplat/postgresql"),
        "library/python": from_versions_yaml("upstream.python"),
    }
    for repository, tag in tags.items():
        layout = layouts.get(repository) or folder / repository.replace("/", "-")
        if repository not in layouts:
            multi_arch(layout, size=len(repository) * 100)
        published.hub.push(repository, tag, layout, _only(layout))
    published.images = tags
    _publish_k3s(published.github, programs.k3s)
    _list_images(published.github, k3s_images or K3S_IMAGES)
    return published


def _only(layout: Path) -> str:
    """Return the digest of the one image in a layout folder."""
    return str(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])


def _site() -> Site:
    host = {"name": "s1", "address": "10.0.0.11", "role": "server"}
    document = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "any", "hosts": [host]}
    return Site.model_validate(document)


def _version(lock: Lock, name: str) -> str:
    return next(a.version for a in lock.artifacts if a.name == name)


def _archive(member: str, content: bytes) -> dict[str, bytes]:
    names = {arch: member.format(arch=arch) for arch in _ARCHES}
    return {arch: gzip.compress(tar_of({names[arch]: content}), 1, mtime=0) for arch in _ARCHES}


def _line(name: str, content: bytes) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


def _publish_registry(github: GitHub, program: bytes, version: str) -> None:
    packed = _archive("registry", program)
    files = {f"registry_{version}_linux_{a}.tar.gz": packed[a] for a in _ARCHES}
    sums = {f"{n}.sha256": hashlib.sha256(data).hexdigest().encode() for n, data in files.items()}
    github.release("distribution/distribution", f"v{version}", {**files, **sums})


def _publish_k3s(github: GitHub, program: bytes) -> None:
    tag = from_versions_yaml("kubernetes.k3s")
    names = {"amd64": "k3s", "arm64": "k3s-arm64"}
    files = dict.fromkeys(names.values(), program)
    sums = {f"sha256sum-{arch}.txt": _line(name, program) for arch, name in names.items()}
    github.release("k3s-io/k3s", tag, {**files, **sums})


def _list_images(github: GitHub, images: Mapping[str, str]) -> None:
    lines = "".join(f"docker.io/{name}:{tag}\n" for name, tag in sorted(images.items()))
    github.release("k3s-io/k3s", from_versions_yaml("kubernetes.k3s"), {"k3s-images.txt": lines.encode()})
