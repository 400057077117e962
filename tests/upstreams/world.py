"""A made catalogue with one artifact of each protocol, published on a test's upstreams."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aiplat.catalog import catalog as catalogues
from aiplat.content import sha256_bytes
from aiplat.site import known
from aiplat.supply.upstream import http as engine
from tests.typed import Typed
from tests.upstreams.helm_repository import HelmRepository
from tests.upstreams.huggingface_hub import HuggingFaceHub
from tests.upstreams.images import chart, gguf, multi_arch, safetensors, tar_of
from tests.upstreams.ollama_registry import OllamaRegistry
from tests.upstreams.orders import HURRY
from tests.upstreams.registry import Registry
from tests.upstreams.releases import Files
from tests.upstreams.server import Upstreams

_CACHES = (catalogues.load_catalog, known.known_names)
_PLANE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Plane
name: model
title: Model
order: 1
purpose: Tests.
"""
_COMPONENT = """\
apiVersion: aiplat.dev/v1alpha1
kind: Component
name: {name}
plane: model
purpose: Tests.
licence: {{spdx: MIT}}
default: {default}
{rest}
"""
_PARTS = {
    "server": """\
artifacts:
  - {kind: image, name: docker.io/example/server, version: {from: project}, upstream: {image: {tag: "1.0"}}}
""",
    "tool": """\
artifacts:
  - kind: hostfile
    name: tool
    version: {from: project}
    upstream:
      release:
        url: https://get.example.org/tool-{arch}.tar.gz
        checksums: https://get.example.org/tool-{arch}.tar.gz.sha256sum
        member: tool
""",
    "addon": """\
artifacts:
  - kind: chart
    name: ghcr.io/example/charts/addon
    version: {from: project}
    upstream: {helm: {repository: "https://charts.example.org", chart: addon, version: "1.0"}}
""",
    "ollama": """\
engine: {image: none, run: {command: [serve], port: 1, weights: {form: gguf, mount: /m}, holdSeconds: 1,
  health: {started: {path: /}, ready: {path: /}, live: {path: /}}, api: {paths: [/v1/completions]}},
  features: [], fit: {rules: none}, defaults: {parallel: 1, contextLength: 256, resources: {}}}
models:
  - name: tiny:1b
    purpose: Tests.
    licence: {spdx: MIT}
    artifact:
      kind: model
      name: registry.ollama.ai/library/tiny
      version: {from: model}
      upstream: {ollama: {}}
""",
    "vllm": """\
engine: {image: none, run: {command: [serve], port: 1, weights: {form: gguf, mount: /m}, holdSeconds: 1,
  health: {started: {path: /}, ready: {path: /}, live: {path: /}}, api: {paths: [/v1/completions]}},
  features: [], fit: {rules: none}, defaults: {parallel: 1, contextLength: 256, resources: {}}}
models:
  - name: little:1b
    purpose: Tests.
    licence: {spdx: MIT}
    artifact:
      kind: model
      name: huggingface.co/owner/little
      version: {from: model}
      upstream: {huggingface: {repository: owner/little, revision: main}}
""",
}
_SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward
supply: upstream
hosts: [{name: s1, address: 10.0.0.11, role: server}]
"""


@dataclass
class World:
    """A site, what its upstreams serve, and what `facts` a sentence may name."""

    net: Upstreams
    folder: Path
    upstream: dict[str, Any] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)
    facts: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    hub: Registry = field(init=False)
    release: Files = field(init=False)
    charts: HelmRepository = field(init=False)
    ollama: OllamaRegistry = field(init=False)
    models: HuggingFaceHub = field(init=False)

    def __post_init__(self) -> None:
        self.upstream = {"proxy": self.net.proxy, "ca": str(self.net.ca), **self.upstream}
        self._publish_server()
        tool = gzip.compress(tar_of({"tool": b"#!/bin/sh\n" * 9000}), 0, mtime=0)
        digest = sha256_bytes(tool).removeprefix("sha256:")
        name = "tool-amd64.tar.gz"
        self.facts["tool"] = f"sha256:{digest}"
        self.release = self.net.files(
            "get.example.org",
            {f"/{name}": tool, f"/{name}.sha256sum": f"{digest}  {name}\n".encode()},
        )
        self.charts = self.net.helm("charts.example.org")
        self.charts.publish("addon", "1.0", chart("addon", "1.0"))
        self.ollama = self.net.ollama()
        self.facts["tiny"] = self.ollama.publish("library/tiny", "1b", {"model": gguf(), "template": b"{{}}"})
        self.models = self.net.huggingface()
        files = {"config.json": b"{}", "model.safetensors": safetensors(100)}
        self.facts["little"] = self.models.publish("owner/little", files)

    def _publish_server(self) -> None:
        layout = self.folder / "server"
        digest = multi_arch(layout, layers=1, size=90_000)
        self.hub = self.net.docker_hub()
        self.hub.push("example/server", "1.0", layout, digest)
        layers = [d for d in self.hub.blobs if self.hub.blobs[d].stat().st_size > 90_000]  # type: ignore[union-attr]
        self.facts |= {"server": digest, "layer": layers[0], "blob": f"blob {layers[0][:19]}"}

    def forget_kept(self) -> None:
        """Take away what was kept of what has been asked for, as another machine would have it."""
        for path in self.folder.glob("cache/**/upstream/*"):
            path.unlink()

    def write(self, *parts: str) -> None:
        """Let the site install just these parts."""
        self.parts = set(parts)
        charts = self.folder / "catalogue/charts/model"
        charts.mkdir(parents=True, exist_ok=True)
        (charts / "plane.yaml").write_text(_PLANE)
        for name, rest in _PARTS.items():
            default = "on" if name in parts else "request"
            path = charts / name / "component.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(_COMPONENT.format(name=name, default=default, rest=rest))
        served = {"ollama": "tiny:1b", "vllm": "little:1b"}
        models = [{"name": served[p], "engine": p} for p in parts if p in served]
        text = f"{_SITE}upstream: {self.upstream!r}\n" + (f"models: {models!r}\n" if models else "")
        (self.folder / "ward.yaml").write_text(text.replace("True", "true"))


class Aiplat:
    """The command line on a world's site, in this process, with the world's catalogue and little patience."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, typed: Typed) -> None:
        self._world, self._monkeypatch, self._typed = world, monkeypatch, typed
        for reader in (catalogues, known):
            monkeypatch.setattr(reader, "shipped", lambda name: world.folder / "catalogue" / name)
        monkeypatch.setattr(engine, "Patience", lambda: HURRY)
        monkeypatch.setenv("NO_COLOR", "1")

    def __call__(self, *words: str) -> tuple[int, str]:
        """Run it; return its exit code and what it said."""
        for name, value in self._world.environment.items():
            self._monkeypatch.setenv(name, value)
        for read in _CACHES:
            read.cache_clear()
        code, out, err = self._typed(*words, str(self._world.folder / "ward.yaml"))
        for read in _CACHES:
            read.cache_clear()
        return code, out + err
